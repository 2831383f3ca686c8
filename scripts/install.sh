#!/bin/sh
# Install the runner command: the newest release, or the one in RUNNER_VERSION.
#
#   curl -fsSL https://raw.githubusercontent.com/ysya/runscaler/main/scripts/install.sh | sh
#
#   INSTALL_DIR      where to, default ~/.local/bin; made if it is missing
#   RUNNER_VERSION   such as 1.2.3 or v1.2.3; default: the newest
#   RUNNER_RELEASES  where releases are, default https://github.com/ysya/runscaler/releases
#
# Needs no root and no Python. The download is verified with the release's checksums, and has to run here, before
# it takes the place of what is installed.
set -eu

# In a function, so that a script that was cut off on its way does nothing.
main() {
    releases=${RUNNER_RELEASES:-https://github.com/ysya/runscaler/releases}
    releases=${releases%/}
    directory=${INSTALL_DIR:-${HOME:?set HOME or INSTALL_DIR}/.local/bin}
    files=$(release_files)
    archive=runner-$(platform).tar.gz

    mkdir -p "$directory" || fail "$directory cannot be made" "set INSTALL_DIR to a directory of yours"
    [ ! -d "$directory/runner" ] || fail "$directory/runner is a directory" "remove it, or set INSTALL_DIR"
    [ -w "$directory" ] || fail "$directory cannot be written to" "set INSTALL_DIR to a directory of yours"
    work=$(mktemp -d "$directory/.runner-install-XXXXXX")
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP

    download checksums.txt
    download "$archive"
    verify
    tar -xzof "$work/$archive" -C "$work" runner || fail "$archive is damaged" "try again"
    if [ -L "$work/runner" ] || [ ! -f "$work/runner" ]; then
        fail "$archive does not hold the file runner"
    fi
    chmod 755 "$work/runner"
    version=$("$work/runner" version --short) || fail "the downloaded runner does not run on this machine"
    mv -f "$work/runner" "$directory/runner"
    echo "runner $version is installed: $directory/runner"
    advise
}

release_files() {
    version=${RUNNER_VERSION:-}
    case $version in
        "" | latest) echo "$releases/latest/download" ;;
        *[!0-9A-Za-z.+-]*) fail "RUNNER_VERSION $version is no version" "write it like 1.2.3" ;;
        *) echo "$releases/download/v${version#v}" ;;
    esac
}

platform() {
    system=$(uname -s | tr '[:upper:]' '[:lower:]')
    machine=$(uname -m)
    case $machine in
        x86_64 | amd64) machine=amd64 ;;
        aarch64 | arm64) machine=arm64 ;;
    esac
    case $system-$machine in
        linux-amd64 | linux-arm64 | darwin-amd64 | darwin-arm64) echo "$system-$machine" ;;
        *) fail "there is no release for $system on $machine" "with Python 3.11 or newer: pipx install runscaler" ;;
    esac
}

download() {
    if command -v curl > /dev/null; then
        # Not even a redirect may lead from https to http.
        case $releases in https:*) protocol='=https' ;; *) protocol='=http,https' ;; esac
        curl --fail --silent --show-error --location --proto-redir "$protocol" --output "$work/$1" "$files/$1"
    elif command -v wget > /dev/null; then
        wget -q -O "$work/$1" "$files/$1"
    else
        fail "there is neither curl nor wget" "install one of them"
    fi || fail "$files/$1 cannot be downloaded" "check RUNNER_VERSION and this machine's network"
}

verify() {
    wanted=$(awk -v name="$archive" '$2 == name || $2 == "*" name { print $1; exit }' "$work/checksums.txt")
    [ -n "$wanted" ] || fail "the release has no checksum for $archive"
    if command -v sha256sum > /dev/null; then
        found=$(sha256sum "$work/$archive")
    elif command -v shasum > /dev/null; then
        found=$(shasum -a 256 "$work/$archive")
    else
        fail "there is neither sha256sum nor shasum, so nothing can be verified" "install one of them"
    fi
    found=${found%% *}
    [ "$found" = "$wanted" ] || fail "$archive has the checksum $found, not $wanted" "try again"
}

advise() {
    case :$PATH: in
        *":$directory:"*) ;;
        *) echo "  → $directory is not in PATH: add it, or call $directory/runner" ;;
    esac
    echo "  → to try it without a GitHub account: runner demo"
}

fail() {
    echo "error: $1" >&2
    [ $# -lt 2 ] || echo "  → $2" >&2
    exit 1
}

main
