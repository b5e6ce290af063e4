# shellcheck shell=bash
# Patroni as RPM packages, in a repository of their own beside the one for apt: what a member has that a test makes one of
# the other family. Their content is that of Debian's packages; what they do is what PGDG's do: the old one restarts
# patroni.service on its way out (%postun), and configuration is %config(noreplace).

RPM_RELEASE=1PGDG.lab1

# make_rpms WORK: one per Patroni version of Debian, in ROOT/srv/rpms.
make_rpms() {
  local work=$1 root=$1/root upstream version
  mkdir -p "$root/srv/rpms" "$root/tmp/rpm"
  while read -r upstream version; do
    # What is only another name of 4.0.7 is for apt alone.
    [[ $version != *-0* ]] || continue
    mkdir -p "$root/tmp/rpm/tree"
    dpkg-deb --extract "$root/srv/packages/patroni_${version}_all.deb" "$root/tmp/rpm/tree" || return 1
    rm -rf "$root/tmp/rpm/tree/usr/share/doc" "$root/tmp/rpm/tree/usr/share/man"
    mkdir -p "$root/tmp/rpm/tree/etc/patroni"
    echo "# of the package of Patroni $upstream" >"$root/tmp/rpm/tree/etc/patroni/package.conf"
    rpm_spec "$upstream" "$root/tmp/rpm/tree" >"$root/tmp/rpm/patroni.spec"
    build_rpm "$root" patroni.spec || return 1
    rm -rf "$root/tmp/rpm"/{tree,top}
  done <"$work/versions"
  # shellcheck disable=SC2016
  version=$(in_root "$root" dpkg-query -W -f '${Version}' postgresql-17) || return 1
  shell_spec "${version%%-*}" >"$root/tmp/rpm/shell.spec"
  build_rpm "$root" shell.spec || return 1
  rm -rf "$root/tmp/rpm"
  in_root "$root" createrepo_c --quiet /srv/rpms >>"$CACHE/build.log" 2>&1 || { tail -n 20 "$CACHE/build.log" >&2; return 1; }
}

build_rpm() {
  in_root "$1" rpmbuild -bb --quiet --define '_topdir /tmp/rpm/top' --define '_rpmdir /srv/rpms' "/tmp/rpm/$2" >>"$CACHE/build.log" 2>&1 ||
    { tail -n 20 "$CACHE/build.log" >&2; return 1; }
}

# shell_spec POSTGRES-VERSION: what no RPM package has brought here: what the scripts of a package need, and the owner of the server that runs.
shell_spec() {
  cat <<SPEC
Name: lab-shell
Version: 1
Release: 1
Summary: Says that there is a shell
License: MIT
BuildArch: noarch
Provides: /bin/sh
%description
For the lab alone.
%package -n postgresql17-server
Version: $1
Release: $RPM_RELEASE
Summary: Says that it has brought the server
%description -n postgresql17-server
For the lab alone.
%install
mkdir -p %{buildroot}/usr/lib/postgresql/17/bin
touch %{buildroot}/usr/lib/postgresql/17/bin/postgres
%files
%files -n postgresql17-server
%ghost /usr/lib/postgresql/17/bin/postgres
SPEC
}

# rpm_spec UPSTREAM TREE: the spec of a package that holds this tree.
rpm_spec() {
  cat <<SPEC
%global __os_install_post %{nil}
%global debug_package %{nil}
%define _binary_payload w1.gzdio
Name: patroni
Version: $1
Release: $RPM_RELEASE
Summary: Patroni $1, as the lab packs it
License: MIT
BuildArch: noarch
AutoReqProv: no
%description
Made of Debian's package, for the lab alone.
%package etcd
Summary: What Patroni needs for etcd
Requires: patroni = %{version}-%{release}
%description etcd
Without content: what it is about is that it goes with one version of patroni, as PGDG's does.
%files etcd
%install
cp -a /tmp/rpm/tree/. %{buildroot}/
%post
systemctl daemon-reload >/dev/null 2>&1 || :
%postun
if [ "\$1" -ge 1 ]; then systemctl try-restart patroni.service >/dev/null 2>&1 || :; fi
%files
SPEC
  # Its folders, too: an empty one of an old version would be a second Patroni for Python.
  (cd "$2" && find . -path '*/patroni*' -type d | sed 's,^\.,%dir ,')
  (cd "$2" && find . \( -type f -o -type l \) | sed -e 's,^\.,,' -e 's,^/etc/,%config(noreplace) &,')
}
