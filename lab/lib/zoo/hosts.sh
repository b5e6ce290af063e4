# shellcheck shell=bash
# Variants of the hosts: units, packages, disks.

# ---- units -----------------------------------------------------------------------------------

# Debian's layout: one instance of the template, and a patroni.service that has nothing to do.
patroni_unit() { if has_variant debian-layout; then echo patroni@17-main; else echo patroni; fi; }
patroni_file() { if has_variant debian-layout; then echo etc/patroni/17-main.yml; else echo etc/patroni/config.yml; fi; }
# enable_unit ROOT: what `systemctl enable` does.
enable_unit() {
  ! has_variant debian-layout ||
    ln -sf /usr/lib/systemd/system/patroni@.service "$1/etc/systemd/system/multi-user.target.wants/patroni@17-main.service"
}

vary_no_killmode() {
  # shellcheck disable=SC2046
  in_parallel write_own_unit $(members)
}
write_own_unit() {
  in_member "$1" sh -ec '
    sed /^KillMode=/d /usr/lib/systemd/system/patroni.service >/etc/systemd/system/patroni.service
    ! grep -q KillMode= /etc/systemd/system/patroni.service
    systemctl daemon-reload'
}
unvary_no_killmode() {
  # shellcheck disable=SC2046
  in_parallel remove_own_unit $(members)
}
remove_own_unit() { in_member "$1" sh -c 'rm -f /etc/systemd/system/patroni.service; systemctl daemon-reload'; }

# ---- Patroni beside its package --------------------------------------------------------------

vary_venv() {
  # shellcheck disable=SC2046
  in_parallel make_venv $(members) && restart_daemons
}
make_venv() {
  in_member "$1" timeout 60 sh -ec '
    python3 -m venv --system-site-packages --without-pip /opt/patroni
    packages=$(echo /opt/patroni/lib/python3*/site-packages)
    cp -r /usr/lib/python3/dist-packages/patroni /usr/lib/python3/dist-packages/patroni-*-info "$packages/"
    sed "1s,.*,#!/opt/patroni/bin/python3," /usr/bin/patroni >/opt/patroni/bin/patroni
    chmod 755 /opt/patroni/bin/patroni
    mkdir -p /etc/systemd/system/patroni.service.d
    printf "[Service]\nExecStart=\nExecStart=/opt/patroni/bin/patroni /etc/patroni/config.yml\n" >/etc/systemd/system/patroni.service.d/venv.conf
    systemctl daemon-reload'
}
unvary_venv() {
  # shellcheck disable=SC2046
  in_parallel leave_venv $(members) && restart_daemons && in_parallel remove_venv $(members)
}
leave_venv() { in_member "$1" sh -c 'rm -rf /etc/systemd/system/patroni.service.d; systemctl daemon-reload'; }
remove_venv() { in_member "$1" rm -rf /opt/patroni; }

# ---- packages and disks ----------------------------------------------------------------------

# As most repositories of a distribution: what was there before is there no more.
vary_newest_only() {
  # shellcheck disable=SC2046
  in_parallel hide_older_versions $(members)
}
hide_older_versions() {
  # mend_repository puts the whole one back.
  in_member "$1" timeout 30 sh -ec '
    rm -rf /srv/hidden && mkdir /srv/hidden && ln -s /srv/packages/*.deb /srv/hidden/
    awk -v RS= -v ORS="\n\n" "!/^Package: patroni\n/ || /\nVersion: 4\.1\.5-/" /srv/packages/Packages >/srv/hidden/Packages
    [ "$(grep -cx "Package: patroni" /srv/hidden/Packages)" = 1 ]
    sed -i "s,file:/srv/[a-z]*,file:/srv/hidden," /etc/apt/sources.list.d/lab.sources
    apt-get update -qq'
}

# /usr becomes a file system of its own, with as much room as its upper layer has. What runs keeps the old one.
vary_small_usr() {
  in_member n3 sh -ec '
    mkdir -p /run/lab-usr && mount -t tmpfs -o size=1m,mode=755 lab-usr /run/lab-usr
    mkdir /run/lab-usr/changes /run/lab-usr/work
    mount -t overlay -o lowerdir=/usr,upperdir=/run/lab-usr/changes,workdir=/run/lab-usr/work lab-usr /usr'
}
unvary_small_usr() {
  in_member n3 sh -c '! mountpoint -q /usr || umount --lazy /usr; ! mountpoint -q /run/lab-usr || umount --lazy /run/lab-usr; rmdir /run/lab-usr'
}

# pg_wal on a disk of its own: $RUN/members/M/wal, /srv/wal inside.
make_wal_disk() {
  local dir=$1 owner=$2
  has_variant disks || return 0
  mkdir "$dir/wal"
  mount -t tmpfs -o mode=700,size=600M lab-wal "$dir/wal"
  chown "$owner" "$dir/wal"
}
wal_directory_option() { ! has_variant disks || echo ', {waldir: /srv/wal/17}'; }
