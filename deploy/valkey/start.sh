#!/bin/sh
# Starts the bus with the access list beside this file, each user with the secret that the
# environment has for it (BUS_SECRET_FEED …); the server sees digests only. Arguments go to it.
set -eu

list=$(mktemp)
while read -r word user rest; do
  if [ "$user" != default ]; then
    name=BUS_SECRET_$(printf %s "$user" | tr '[:lower:]' '[:upper:]')
    eval "secret=\${$name:?$name is not set: see deploy/README.md}"
    digest=$(printf %s "$secret" | sha256sum | cut -d ' ' -f 1)
    rest="on #$digest ${rest#on resetpass }"
  fi
  printf '%s %s %s\n' "$word" "$user" "$rest"
done < "$(dirname "$0")/users.acl" > "$list"
unset secret
chmod 644 "$list"  # the image's entry point gives root's rights up
exec ${BUS_ENTRY_POINT-docker-entrypoint.sh} valkey-server --aclfile "$list" "$@"
