"""Where the shop's warehouses and customers are: (latitude, longitude)."""

PLACES = {
    "Gdansk": (54.352, 18.646),
    "Ghent": (51.054, 3.725),
    "Lille": (50.629, 3.057),
    "Lodz": (51.759, 19.456),
    "Milan": (45.464, 9.190),
    "Rotterdam": (51.924, 4.478),
    "Stockholm": (59.329, 18.069),
    "Trieste": (45.650, 13.777),
    "Utrecht": (52.091, 5.122),
    "Warsaw": (52.230, 21.011),
    "Zagreb": (45.815, 15.982),
}
