#!/bin/sh
# Runs as root while the image is built. What it leaves: the binary on PATH, whose daemon this container has
# (/etc/burrow/feature.json), that user's state directory, the fixed path of the Go tools, and what the container calls at
# each of its starts.
set -eu
cd "$(dirname "$0")"

fail() {
    echo "burrow: $*" >&2
    exit 1
}

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
    '' | *[!0-9]*) fail "there is no user $asked in this image, so there is nobody to install for: correct remoteUser" ;;
    esac
    # A uid without an account: of root's group, as the engines have it.
    found=$asked:$asked:0
fi
user=${found%%:*}
group=${found##*:}
uid=${found#*:}
uid=${uid%:*}

machine=$(uname -m)
binary=bin/burrow-$machine
[ -f "$binary" ] || fail "this Feature has no binary for $machine, only: $(ls bin). Run \`make feature\` on such a machine"

mkdir -p /usr/local/bin
cp "$binary" /usr/local/bin/burrow
chmod 755 /usr/local/bin/burrow

mkdir -p /etc/burrow
printf '{ "schema": 1, "remoteUser": "%s" }\n' "$user" >/etc/burrow/feature.json
chmod 644 /etc/burrow/feature.json

# In the container's own layer, never in the home directory: that may be a volume, and outlive the container.
state=/var/lib/burrow/$uid
mkdir -p "$state"
chmod 755 /var/lib/burrow
chown "$uid:$group" "$state"
chmod 700 "$state"

# Empty until the first tools are there. At a start of the container root leads it to the uid that the user has then.
mkdir -p /usr/local/share/burrow
ln -sfn "$state/current" /usr/local/share/burrow/tools

# A Feature's entrypoint is called by its path alone.
printf '#!/bin/sh\nexec /usr/local/bin/burrow entrypoint\n' >/usr/local/share/burrow/entrypoint
chmod 755 /usr/local/share/burrow/entrypoint

# The image below may have had other options.
rm -f /etc/burrow/no-tools
[ "${TOOLS:-true}" = true ] || : >/etc/burrow/no-tools

# VS Code installs it from this path; without it the daemon does all that it does, and no window shows it.
if [ -f burrow.vsix ]; then
    cp burrow.vsix /usr/local/share/burrow/burrow.vsix
    chmod 644 /usr/local/share/burrow/burrow.vsix
fi
