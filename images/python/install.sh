#!/bin/sh
# Installs what Debian packages (debian.txt) in the versions of debian.lock, then what only the Python package
# index has (requirements.txt), then removes what a sandbox never needs. What could not be had as locked is
# written to build-notes.txt, which `slipway image show` prints.
set -eu

recipe=/usr/lib/slipway/recipe
notes=/usr/lib/slipway/build-notes.txt
export DEBIAN_FRONTEND=noninteractive
: > "$notes"

# dpkg leaves these out of everything that it unpacks from here on.
cat > /etc/dpkg/dpkg.cfg.d/slipway <<'CFG'
path-exclude=/usr/share/doc/*
path-include=/usr/share/doc/*/copyright
path-exclude=/usr/share/man/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/locale/*
path-include=/usr/share/locale/locale.alias
CFG

# matplotlib's dependencies lead to scipy, a C++ compiler and Tk, for corners that draw no chart. This empty
# package stands in for them; whoever installs a real one gets it.
mkdir -p /tmp/stand-in/DEBIAN
cp "$recipe/stand-in.control" /tmp/stand-in/DEBIAN/control
dpkg-deb --build --root-owner-group /tmp/stand-in /tmp/stand-in.deb
dpkg --install /tmp/stand-in.deb

apt-get update -q
wanted=$(sed -e 's/#.*//' "$recipe/debian.txt")
apt-cache madison $(sed -e 's/=.*//' "$recipe/debian.lock") 2>/dev/null |
  awk -F'|' '{ gsub(/ /, ""); print $1 "=" $2 }' | sort -u > /tmp/available
sort -u "$recipe/debian.lock" | comm -12 - /tmp/available > /tmp/pinned

install() { apt-get install -q -y --no-install-recommends "$@"; }
# Pins of which some are gone may contradict each other: then the archive's own versions are taken.
install $wanted $(cat /tmp/pinned) || install $wanted

dpkg-query -W -f '${Package}=${Version}\n' | sort > /tmp/installed
awk -F= 'NR == FNR { locked[$1] = $2; next } $1 in locked && locked[$1] != $2 {
  print "version drift: " $1 " " $2 " (locked: " locked[$1] ")" }' \
  "$recipe/debian.lock" /tmp/installed >> "$notes"

# A Dockerfile that starts from this image may use pip, as in the official image.
rm -f /usr/lib/python3*/EXTERNALLY-MANAGED
for name in python python3; do ln -sf /usr/bin/python3 /usr/local/bin/$name; done

/usr/bin/python3 "$recipe/install_pypi.py" "$recipe/requirements.txt" "$notes"

apt-get clean
rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* /tmp/* /root/.cache
printf 'slipway:x:65532:65532::/home/slipway:/usr/sbin/nologin\n' >> /etc/passwd
printf 'slipway:x:65532:\n' >> /etc/group
mkdir -p /home/slipway /work && chown 65532:65532 /home/slipway /work
