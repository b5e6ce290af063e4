# shellcheck shell=bash
# Patroni packages for what Debian's own cannot show: other versions, a daemon that does not start, an installation that takes long.

# make_variants WORK REPOSITORY: makes what recipe/variants says; adds those that only have another label to WORK/versions.
make_variants() {
  local work=$1 repository=$2 version from changes original change tree=$1/variant
  while read -r version from changes; do
    original=$(awk -v wanted="$from" '$1 == wanted { print $2 }' "$work/versions")
    [[ -n $original ]] || { say "lab: without Patroni $from there is no $version"; continue; }
    dpkg-deb --raw-extract "$repository/patroni_${original}_all.deb" "$tree" || return 1
    edit "s/^Version: .*/Version: $version/" "$tree/DEBIAN/control" || return 1
    edit "s/^__version__ = .*/__version__ = '${version%%-*}'/" "$tree/$PYTHON_FOLDER/version.py" || return 1
    for change in $changes; do "variant_$change" "$tree" || return 1; done
    (cd "$tree" && find usr lib -type f -print0 2>/dev/null | sort -z | xargs -0 md5sum) >"$tree.md5sums"
    mv "$tree.md5sums" "$tree/DEBIAN/md5sums"
    dpkg-deb --root-owner-group -Zxz --build "$tree" "$repository/patroni_${version}_all.deb" >>"$CACHE/build.log" || return 1
    rm -rf "$tree"
    [[ -n $changes ]] || echo "${version%%-*} $version" >>"$work/versions"
  done < <(recipe_list variants)
}

PYTHON_FOLDER=usr/lib/python3/dist-packages/patroni

# Only the daemon: patronictl does not import this module.
variant_broken() { edit '1i raise SystemExit("patroni: this build does not start")' "$1/$PYTHON_FOLDER/__main__.py"; }
# shellcheck disable=SC2016 # for the postinst
variant_slow() { edit '/^set -e$/a [ "$1" != configure ] || [ -e /var/tmp/lab-quick ] || sleep 8' "$1/DEBIAN/postinst"; }

# edit SCRIPT FILE: sed in place; an edit that changes nothing is an error, for the file is not what it was written for.
edit() {
  sed -i.before -e "$1" "$2" || return 1
  if cmp -s "$2" "$2.before"; then say "lab: '$1' does not apply to ${2##*/}"; return 1; fi
  rm "$2.before"
}
