#!/bin/sh
# Runs as root while the image is built. What it leaves: the folders that the volumes are mounted on. An empty volume takes
# its owner from the folder below it; without one it would be root's, and `go build` would be denied its own cache.
set -eu

# remoteUser is a name or a uid, with or without `:group`. Not asked of `id`: what that knows of a uid differs.
asked=${_REMOTE_USER:-root}
asked=${asked%%:*}
by_name=
by_uid=
while IFS=: read -r name _ number first _ || [ -n "$name" ]; do
    [ "$name" != "$asked" ] || by_name=${by_name:-$name:$number:$first}
    [ "$number" != "$asked" ] || by_uid=${by_uid:-$name:$number:$first}
done </etc/passwd
found=${by_name:-$by_uid}
if [ -z "$found" ]; then
    case $asked in
    '' | *[!0-9]*)
        echo "burrow-caches: there is no user $asked in this image, so there is nobody to keep caches for: correct remoteUser" >&2
        exit 1
        ;;
    esac
    # A uid without an account: of root's group, as the engines have it.
    found=$asked:$asked:0
fi
owner=${found#*:}

mkdir -p /var/cache/burrow
chown 0:0 /var/cache/burrow
chmod 755 /var/cache/burrow
for name in mod build store; do
    mkdir -p "/var/cache/burrow/$name"
    chown "$owner" "/var/cache/burrow/$name"
done
# The store's files are programs that this user runs.
chmod 700 /var/cache/burrow/store
