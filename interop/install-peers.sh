#!/usr/bin/env bash
# Installs the peers of the matrix, and staticcheck, on Debian. What
# is there already stays as it is. No service is started meanwhile.
set -euo pipefail

packages=(curl nghttp2-client git python3-h2 openjdk-17-jdk-headless nodejs
	nghttp2-server nghttp2-proxy apache2 h2o varnish caddy tomcat10 libjetty9-java
	nginx-light haproxy)
h2spec=github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible
staticcheck=honnef.co/go/tools/cmd/staticcheck@v0.8.2

as_root() {
	if [[ $EUID -eq 0 ]]; then
		"$@"
	else
		sudo "$@"
	fi
}

# Debian asks this file whether a package may start its service: 101 is no.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
	trap 'as_root rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
	as_root chmod 755 "$policy"
fi

missing=()
for package in "${packages[@]}"; do
	status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
	if [[ $status != installed ]]; then
		missing+=("$package")
	fi
done
if [[ ${#missing[@]} -gt 0 ]]; then
	echo "installing ${missing[*]}"
	as_root apt-get -qq update
	as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get -qq -y install --no-install-recommends "${missing[@]}" >/dev/null
fi

# Built outside of any module or workspace, with no flags but its own, and into the
# directory where the tests look.
gopath=$(go env GOPATH)
bin=${gopath%%:*}/bin
install_go() {
	local name=$1 module=$2 dir
	if command -v "$name" >/dev/null || [[ -x $bin/$name ]]; then
		return
	fi
	echo "installing $module"
	dir=$(mktemp -d)
	(cd "$dir" && GOWORK=off GOFLAGS='' GOBIN=$bin go install "$module")
	rm -rf "$dir"
}
install_go h2spec "$h2spec"
install_go staticcheck "$staticcheck"
