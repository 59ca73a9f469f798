#!/bin/sh
# Options or a configuration file alone mean redis-server with them, as in the official image.
set -eu

if [ "${1#-}" != "$1" ] || [ "${1%.conf}" != "$1" ]; then
    set -- redis-server "$@"
fi

if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
    find . \! -user redis -exec chown redis {} +
    exec setpriv --reuid=redis --regid=redis --init-groups "$0" "$@"
fi

# As in the official image protected mode is off unless asked for: clients come from other pods, and
# a password is the caller's to set.
case " $* " in
    " redis-server "*--protected-mode*) ;;
    " redis-server "*) set -- "$@" --protected-mode no ;;
esac

exec "$@"
