#!/bin/sh
# Prints the secrets of a new deployment, for deploy/.env: one of the database, the token of the
# agents' services, one of each user of the bus. Keep the file to its owner: umask 077.
set -eu

echo "QUORUM_DATABASE_PASSWORD=$(openssl rand -hex 24)"
echo "QUORUM_SERVING__TOKEN=$(openssl rand -hex 24)"
while read -r _ user _; do
  [ "$user" = default ] ||
    echo "BUS_SECRET_$(printf %s "$user" | tr '[:lower:]' '[:upper:]')=$(openssl rand -hex 24)"
done < "$(dirname "$0")/valkey/users.acl"
