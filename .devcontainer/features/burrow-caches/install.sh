#!/bin/sh
# Runs as root while the image is built. What it leaves: the folders that the volumes are mounted on. An empty volume takes
# its owner from the folder below it; without one it would be root's, and `go build` would be denied its own cache.
set -eu

user=${_REMOTE_USER:-root}
uid=$(id -u "$user") || {
    echo "burrow-caches: there is no user $user in this image, so there is nobody to keep caches for: correct remoteUser" >&2
    exit 1
}
group=$(id -g "$user")

mkdir -p /var/cache/burrow
chown 0:0 /var/cache/burrow
chmod 755 /var/cache/burrow
for name in mod build store; do
    mkdir -p "/var/cache/burrow/$name"
    chown "$uid:$group" "/var/cache/burrow/$name"
done
# The store's files are programs that this user runs.
chmod 700 /var/cache/burrow/store
