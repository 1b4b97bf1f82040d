#!/bin/sh
# Checks Node against node.lock, adds the user, lists the packages, and removes what a sandbox never needs.
set -eu

slipway=/usr/lib/slipway
arch=$(dpkg --print-architecture)
version=$(sed -n 's/^version=//p' "$slipway/recipe/node.lock")
sum=$(sed -n "s/^$arch=//p" "$slipway/recipe/node.lock")

chmod 755 /usr/local/bin/node
echo "$sum  /usr/local/bin/node" | sha256sum --check
test "$(/usr/local/bin/node --version)" = "v$version"
chmod -R u=rwX,go=rX "$slipway" /node_modules

{
  printf '[{"name":"node","version":"%s","source":"npm"}' "$version"
  dpkg-query -W -f ',\n{"name":"${Package}","version":"${Version}","source":"debian"}'
  printf ']\n'
} > "$slipway/packages.json"

printf 'slipway:x:65532:65532::/home/slipway:/usr/sbin/nologin\n' >> /etc/passwd
printf 'slipway:x:65532:\n' >> /etc/group
mkdir -p /home/slipway /work
chown 65532:65532 /home/slipway /work
rm -rf "$slipway/recipe" /var/lib/apt/lists/* /var/cache/* /var/log/* /tmp/*
