# Sourced by ./hello-cloud and ./test: Debian's packages, then .venv. Does nothing twice.
# shellcheck shell=sh
# $1: the extras of pyproject.toml to install, such as "story" or "test,bench".

say() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }

root() { # as root: directly, or through sudo
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else say "not root, and there is no sudo to run: $*"; return 1
    fi
}

# What must be there -> the Debian package that brings it (and for which of the extras in $1, if
# not for all).
needed() {
    while read -r program package extra; do
        case ",$1," in *",${extra:-$1},"*) ;; *) continue ;; esac
        command -v "$program" >/dev/null || [ -e "$program" ] || echo "$package"
    done <<-END
		qemu-system-x86_64 qemu-system-x86
		qemu-img qemu-utils
		/usr/share/OVMF/OVMF_CODE_4M.fd ovmf
		dnsmasq dnsmasq-base
		nft nftables
		ip iproute2
		mount mount
		ssh openssh-client
		ssh-keygen openssh-client
		wrk wrk
		gzip gzip
		zstd zstd
		mmdebstrap mmdebstrap test
		mke2fs e2fsprogs test
		sfdisk fdisk test
		/etc/ssl/certs/ca-certificates.crt ca-certificates
	END
    python3 -c 'import ensurepip' 2>/dev/null || echo python3-venv
}

setup() {
    PATH=$PATH:/usr/sbin:/sbin
    export PATH
    missing=$(needed "$1" | sort -u)
    if [ -n "$missing" ]; then
        say "installing Debian packages:" $missing
        root env DEBIAN_FRONTEND=noninteractive apt-get update -q >/dev/null
        # shellcheck disable=SC2086
        root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing >/dev/null
    elif ! apt-cache show linux-image-cloud-amd64 >/dev/null 2>&1; then
        root apt-get update -q >/dev/null # the tiny image downloads packages
    fi
    wanted="$1 $(cksum pyproject.toml) $(python3 --version)"
    if [ "$(cat .venv/econe-setup-"$1" 2>/dev/null)" != "$wanted" ]; then
        [ -x .venv/bin/python ] || { say "making .venv"; python3 -m venv .venv; }
        say "installing Python packages"
        .venv/bin/python -m pip install -q --disable-pip-version-check -e ".[$1]"
        .venv/bin/python -m compileall -q src/econe # an editable install compiles nothing
        echo "$wanted" >.venv/econe-setup-"$1"
    fi
    case ",$1," in *,test,*) .venv/bin/python tools/clients.py ;; esac
}
