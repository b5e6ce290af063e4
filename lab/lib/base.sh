# shellcheck shell=bash
# The cached base image: Debian with PostgreSQL, Patroni and etcd, a repository of the packages that members may move between,
# and one thin layer per Patroni version on top.
#
#   $CACHE/base-<hash of the recipe>/root            the system, with one Patroni version installed
#                                   /layer-<version> what installing that version changes, as an overlayfs layer
#                                   /versions        lines "upstream version, package version"

SUITE=trixie

recipe_hash() {
  (cd "$LAB_DIR" && find recipe lib/base.sh lib/rpms.sh lib/variants.sh -type f -print0 | sort -z | xargs -0 sha256sum) | sha256sum | cut -c1-12
}

# Leaves the path of a complete base in BASE; builds it if the recipe has changed or nothing is cached.
ensure_base() {
  BASE=$CACHE/base-$(recipe_hash)
  if [[ -d $BASE ]]; then touch "$BASE"; return; fi
  (
    take_lock build 900
    [[ ! -d $BASE ]] || exit 0
    started=$SECONDS
    say "building the base image (once; about a minute)"
    # Not `build_base || die`: that would let it go on after an error.
    set +e
    (set -e; build_base)
    status=$?
    set -e
    [[ $status = 0 ]] || die "the base image could not be built" "the lines above say why; the whole log is $CACHE/build.log"
    say "base image ready after $((SECONDS - started)) s: $BASE"
  )
}

build_base() {
  mkdir -p "$CACHE"
  local work root log=$CACHE/build.log old
  # Only the holder of the lock is here: whatever an interrupted build left is nobody's.
  for old in "$CACHE"/tmp.*; do [[ ! -e $old ]] || remove_base "$old"; done
  work=$(mktemp -d "$CACHE/tmp.XXXXXX")
  root=$work/root
  # shellcheck disable=SC2064
  trap "remove_base '$work'" EXIT
  chmod 755 "$work"
  : >"$log"

  local mirror options=() option
  mirror=$(host_mirror Debian)
  while read -r option; do options+=(--aptopt="${option%;}"); done < <(host_apt_options)
  # Recommended packages stay out; documentation and translations too.
  mmdebstrap --variant=minbase --include="$(recipe_list packages | paste -sd,)" "${options[@]}" \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --essential-hook="mkdir -p \"\$1/etc/postgresql-common\" && cp '$LAB_DIR/recipe/files/etc/postgresql-common/createcluster.conf' \"\$1/etc/postgresql-common/\"" \
    "$SUITE" "$root" ${mirror:+"deb $mirror $SUITE main"} >>"$log" 2>&1 || { tail -n 20 "$log" >&2; return 1; }

  fetch_packages "$work" "$root/srv/packages" || return 1
  configure_base "$root"
  make_rpms "$work" || return 1
  in_root "$root" apt-get update >>"$log" 2>&1 || { tail -n 20 "$log" >&2; return 1; }
  make_layers "$work" || return 1

  mv "$work" "$BASE"
  touch "$BASE"
  # Each use touches a base. One that nobody has used for a day belongs to an older recipe.
  find "$CACHE" -mindepth 1 -maxdepth 1 -name 'base-*' -mmin +1440 | while read -r old; do base_in_use "$old" || remove_base "$old"; done
}

# recipe_list NAME: the lines of a recipe file without comments.
recipe_list() { sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$LAB_DIR/recipe/$1"; }

# host_mirror LABEL: the address of the Debian archive that this machine's own apt uses (label Debian or Debian-Security), if any.
host_mirror() {
  # shellcheck disable=SC2016
  apt-get indextargets 'Created-By: Packages' --format '$(REPO_URI)|$(ORIGIN)|$(LABEL)' 2>/dev/null |
    awk -F'|' -v label="$1" '$2 == "Debian" && $3 == label { print $1; exit }'
}

# The host's own settings for reaching a mirror (proxy, clock checks), as apt.conf lines.
host_apt_options() { apt-config dump | grep -E '^Acquire::(Check-Valid-Until|Check-Date|https?::[^ ]+) "..*"' || true; }

# fetch_packages WORK DIRECTORY: fills an apt repository with the Patroni versions and PostgreSQL minors; writes WORK/versions.
fetch_packages() {
  local work=$1 repository=$2 apt=$1/apt main security keyring="" suite wanted suites found series version package
  mkdir -p "$repository" "$apt/lists/partial" "$apt/cache/archives/partial"
  : >"$apt/status"
  main=$(awk '$1 == "deb" { for (i = 2; i <= NF; i++) if ($i ~ /^[a-z+]+:\//) { print $i; exit } }' "$work/root/etc/apt/sources.list")
  main=${main%/}
  security=$(host_mirror Debian-Security)
  security=${security:-$main-security}
  [[ ! -e /usr/share/keyrings/debian-archive-keyring.gpg ]] || keyring="[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
  for suite in $(recipe_list patroni-versions | tr -s ' ' '\n' | grep '^[a-z]' | sort -u) "$SUITE"; do
    echo "deb $keyring$main $suite main"
  done | sort -u >"$apt/sources.list"
  echo "deb $keyring${security%/} $SUITE-security main" >>"$apt/sources.list"

  # An apt of its own: it sees these suites only, and leaves the host's lists alone.
  local private=(-o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferencesparts=/dev/null -o "Dir::State=$apt"
    -o "Dir::State::status=$apt/status" -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=3)
  apt-get "${private[@]}" update >>"$CACHE/build.log" 2>&1 || { tail -n 20 "$CACHE/build.log" >&2; return 1; }

  local packages=()
  while read -r wanted suites; do
    found=$(apt-cache "${private[@]}" madison patroni | awk '{ print $3 }')
    series=${wanted%.*}
    version=$(grep -E "^${wanted//./\\.}-" <<<"$found" | sort -V | tail -n 1) ||
      version=$(grep -E "^${series//./\\.}\." <<<"$found" | sort -V | tail -n 1) || {
      say "lab: the mirror has no Patroni $series.x any more ($suites); it has: $(xargs <<<"$found"). This lab will do without $wanted."
      continue
    }
    [[ $version = "$wanted"-* ]] ||
      say "lab: the mirror has no Patroni $wanted any more; it has: $(xargs <<<"$found"). Where $wanted is asked for this lab takes $version."
    echo "$wanted $version" >>"$work/versions"
    packages+=("patroni=$version")
  done < <(recipe_list patroni-versions)
  [[ -s $work/versions ]] || { say "lab: the mirror has none of the Patroni versions"; return 1; }

  # Two minor versions of PostgreSQL, where the security suite is ahead of the stable one.
  for version in $(apt-cache "${private[@]}" madison postgresql-17 | awk '{ print $3 }' | sort -u); do
    for package in postgresql-17 postgresql-client-17 libpq5; do packages+=("$package=$version"); done
  done
  (cd "$repository" && apt-get "${private[@]}" download "${packages[@]}") >>"$CACHE/build.log" 2>&1 ||
    { tail -n 20 "$CACHE/build.log" >&2; return 1; }
  make_variants "$work" "$repository" || return 1
  index_repository "$repository"
  rm -rf "$apt"
}

# The Release file lets apt show where a package came from; the repository is trusted because it is part of the image.
index_repository() {
  cd "$1" || return 1
  dpkg-scanpackages --multiversion . >Packages 2>>"$CACHE/build.log"
  {
    printf 'Origin: lockstep-lab\nLabel: lockstep-lab\nArchitectures: all %s\nDate: %s\nSHA256:\n' \
      "$(dpkg --print-architecture)" "$(date -u '+%a, %d %b %Y %H:%M:%S UTC')"
    printf ' %s %s Packages\n' "$(sha256sum Packages | cut -d' ' -f1)" "$(stat -c %s Packages)"
  } >Release
  cd - >/dev/null || return 1
}

configure_base() {
  local root=$1 unit
  # The mirror and the proxy are the host's business, and none of a member's.
  rm -f "$root/etc/apt/sources.list" "$root/etc/apt/apt.conf.d/99mmdebstrap" "$root"/etc/ssh/ssh_host_*
  cp -R "$LAB_DIR/recipe/files/." "$root/"
  for unit in $(recipe_list masked-units); do ln -sfn /dev/null "$root/etc/systemd/system/$unit"; done
  mkdir -p "$root/var/log/journal"
  in_root "$root" sh -c 'chown -R root:root /srv/packages && chmod -R a+rX /srv/packages /etc/ssh/sshd_config.d /etc/systemd'
}

# in_root ROOT COMMAND...: runs a command in an image, without a network, services held back.
in_root() {
  local root=$1
  shift
  unshare --mount --pid --fork --net --mount-proc="$root/proc" \
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive chroot "$root" "$@"
}

# make_layers WORK: one overlayfs layer per version, made by really installing it from the repository.
make_layers() {
  local work=$1 upstream version
  while read -r upstream version; do
    mkdir "$work/layer-$upstream" "$work/scratch" "$work/merged"
    mount -t overlay lab-build -o "lowerdir=$work/root,upperdir=$work/layer-$upstream,workdir=$work/scratch" "$work/merged"
    if ! in_root "$work/merged" sh -c 'printf "#!/bin/sh\nexit 101\n" >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d &&
        apt-get install -y -o Dpkg::Use-Pty=0 --allow-downgrades "patroni=$1" && rm /usr/sbin/policy-rc.d &&
        dpkg-query -W -f "\${Version}" patroni | grep -Fxq "$1" && patroni --version' sh "$version" >>"$CACHE/build.log" 2>&1; then
      tail -n 20 "$CACHE/build.log" >&2
      return 1
    fi
    umount "$work/merged"
    rm -rf "$work/merged" "$work/scratch"
  done <"$work/versions"
}

# package_version UPSTREAM: the package that stands for an upstream version in this base.
package_version() {
  awk -v wanted="$1" '$1 == wanted { print $2; found = 1 } END { exit !found }' "$BASE/versions" ||
    die "this lab has no Patroni $1; it has: $(cut -d' ' -f1 "$BASE/versions" | xargs)" "its repository is made from what the mirror had when the base was built"
}

# A base is in use as long as a member's root is mounted on it.
base_in_use() { grep -qF "lowerdir=$1/" /proc/self/mounts || grep -qF ":$1/" /proc/self/mounts; }

remove_base() {
  local mountpoint
  awk -v dir="$1/" 'index($2, dir) == 1 { print $2 }' /proc/self/mounts | sort -r | while read -r mountpoint; do umount "$mountpoint"; done
  rm -rf --one-file-system "$1"
}
