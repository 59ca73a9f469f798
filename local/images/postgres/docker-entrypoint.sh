#!/bin/bash
# Initialize the database on the first start, then become it. Same variables and files as the
# official image: POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB, POSTGRES_INITDB_ARGS,
# POSTGRES_HOST_AUTH_METHOD, each also as NAME_FILE; PGDATA; /docker-entrypoint-initdb.d.
set -euo pipefail

# Take a variable from the file that NAME_FILE names, else its default.
file_env() {
    local name=$1 default=${2:-} file_variable="${1}_FILE"
    if [[ -n ${!name:-} && -n ${!file_variable:-} ]]; then
        echo >&2 "error: both $name and $file_variable are set; set one of them"
        exit 1
    fi
    if [[ -n ${!file_variable:-} ]]; then
        export "$name"="$(< "${!file_variable}")"
    else
        export "$name"="${!name:-$default}"
    fi
    unset "$file_variable"
}

initialize() {
    file_env POSTGRES_PASSWORD
    file_env POSTGRES_USER postgres
    file_env POSTGRES_DB "$POSTGRES_USER"
    file_env POSTGRES_INITDB_ARGS
    local method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
    if [[ -z $POSTGRES_PASSWORD && $method != trust ]]; then
        echo >&2 "error: POSTGRES_PASSWORD must be set to initialize the database"
        exit 1
    fi
    # initdb wants a name for its user. A cluster that chooses the user id, such as OpenShift, gives none.
    if ! getent passwd "$(id -u)" > /dev/null; then
        local names
        names=$(mktemp -d)
        echo "postgres:x:$(id -u):$(id -g):PostgreSQL:$PGDATA:/bin/false" > "$names/passwd"
        echo "postgres:x:$(id -g):" > "$names/group"
        local -x LD_PRELOAD=libnss_wrapper.so
        local -x NSS_WRAPPER_PASSWD=$names/passwd NSS_WRAPPER_GROUP=$names/group
    fi
    # UTF-8 always: the psycopg driver cannot talk to a database in SQL_ASCII. A later -E or
    # --locale in POSTGRES_INITDB_ARGS wins.
    eval "initdb --username=\"\$POSTGRES_USER\" --pwfile=<(printf '%s\n' \"\$POSTGRES_PASSWORD\")" \
        "-E UTF8 --locale=C.UTF-8 $POSTGRES_INITDB_ARGS"
    printf '\nhost all all all %s\n' "$method" >> "$PGDATA/pg_hba.conf"

    # Only on the socket: nobody else connects before everything is in place.
    PGUSER=$POSTGRES_USER pg_ctl -D "$PGDATA" -o "-c listen_addresses= -p 5432" -w start
    local -x PGPASSWORD=$POSTGRES_PASSWORD
    local psql=(psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --no-password --no-psqlrc)
    if [[ $POSTGRES_DB != postgres ]]; then
        "${psql[@]}" --dbname postgres --set db="$POSTGRES_DB" <<< 'CREATE DATABASE :"db";'
    fi
    local file
    for file in /docker-entrypoint-initdb.d/*; do
        case $file in
            *.sh) if [[ -x $file ]]; then "$file"; else . "$file"; fi ;;
            *.sql) "${psql[@]}" --dbname "$POSTGRES_DB" -f "$file" ;;
            *.sql.gz) gunzip -c "$file" | "${psql[@]}" --dbname "$POSTGRES_DB" ;;
        esac
    done
    PGUSER=$POSTGRES_USER pg_ctl -D "$PGDATA" -m fast -w stop
}

[[ ${1:0:1} != - ]] || set -- postgres "$@"

# Whether the command only asks the program about itself, for which no database is needed.
asks_about_itself() {
    local argument
    for argument; do
        case $argument in
            '-?' | --help | --describe-config | -V | --version) return 0 ;;
        esac
    done
    return 1
}

if [[ $1 == postgres ]] && ! asks_about_itself "$@"; then
    if [[ $(id -u) == 0 ]]; then
        install -d -o postgres -g postgres -m 0700 "$PGDATA"
        install -d -o postgres -g postgres -m 3775 /var/run/postgresql
        find "$PGDATA" \! -user postgres -exec chown postgres {} +
        exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
    fi
    mkdir -p "$PGDATA"
    chmod 0700 "$PGDATA" 2> /dev/null || true
    [[ -s $PGDATA/PG_VERSION ]] || initialize
    unset POSTGRES_PASSWORD
fi

exec "$@"
