from include.orders import Order, read_orders, revenue_by_warehouse


def test_revenue_is_summed_by_warehouse() -> None:
    orders = [
        Order(1, "A", "Trieste", "Milan", quantity=2, unit_price=1.10),
        Order(2, "B", "Gdansk", "Lodz", quantity=1, unit_price=5.0),
        Order(3, "C", "Trieste", "Zagreb", quantity=3, unit_price=1.0),
    ]

    assert revenue_by_warehouse(orders) == {"Gdansk": 5.0, "Trieste": 5.2}


def test_the_order_book_can_be_read() -> None:
    assert all(order.amount > 0 for order in read_orders())
