#!/usr/bin/perl
# The host operations that Node has no call for: tmpfs, bind and idmapped mounts, device nodes, umount.
# One long-lived process per driver (host-mounts.ts starts it). Perl's base package is essential in Debian,
# and its syscall() reaches the mount API that mount(8) of util-linux before 2.39 does not know.
#
# Protocol: one request per line on stdin: the operation, then its fields in hexadecimal, separated by spaces
# ("-" is the empty field). One reply per line on stdout, in the same order: "ok" or "err <errno> <hex text>".
# It ends at the end of stdin, so it never outlives the starter.
use strict;
use warnings;
use POSIX ();

my ($MS_RDONLY, $MS_NOSUID, $MS_NODEV, $MS_NOEXEC, $MS_REMOUNT, $MS_BIND) = (1, 2, 4, 8, 32, 4096);
my ($AT_FDCWD, $AT_SYMLINK_NOFOLLOW, $AT_EMPTY_PATH) = (-100, 0x100, 0x1000);
my ($MNT_DETACH, $UMOUNT_NOFOLLOW) = (2, 8);
my ($OPEN_TREE_CLONE, $O_CLOEXEC) = (1, 0x80000);
my $ATTR_RDONLY_NOSUID_NODEV_NOATIME_IDMAP = 0x1 | 0x2 | 0x4 | 0x10 | 0x100000;
my $ATTR_ATIME_ALL = 0x70;
my $MOVE_MOUNT_F_EMPTY_PATH = 4;
my $CLONE_NEWUSER = 0x10000000;
my ($MS_PRIVATE, $MS_SHARED) = (1 << 18, 1 << 20);
my $ATTR_RDONLY_NOSUID_NODEV_NOEXEC = 0x1 | 0x2 | 0x4 | 0x8;
my ($S_IFCHR, $S_IFMT, $S_IFDIR) = (0020000, 0170000, 0040000);

my $machine = (POSIX::uname())[4];
my %numbers_of = (
    x86_64  => { mount => 165, umount2 => 166, unshare => 272, mknodat => 259, fchownat => 260 },
    aarch64 => { mount => 40, umount2 => 39, unshare => 97, mknodat => 33, fchownat => 54 },
);
# These three have the same number on every architecture.
my ($SYS_open_tree, $SYS_move_mount, $SYS_mount_setattr) = (428, 429, 442);
my $sys = $numbers_of{$machine};

my %operations = (
    tmpfs  => \&mount_tmpfs,
    bind   => \&bind_mount,
    idmap  => \&idmapped_mount,
    umount => \&unmount,
    sharedtmpfs => \&mount_shared_tmpfs,
    present => \&present_tree,
    devtmpfs => \&mount_device_tmpfs,
    device => \&make_device,
    shift  => \&shift_owners,
);

# A writer that is gone must be seen as an error of print, not as a signal.
$SIG{PIPE} = 'IGNORE';
# Ctrl-C at the starter's terminal is the starter's affair.
$SIG{INT} = 'IGNORE';
binmode STDIN;
binmode STDOUT;
$| = 1;

while (my $line = <STDIN>) {
    chomp $line;
    my ($name, @fields) = split / /, $line;
    my $operation = $operations{$name};
    my $done = defined $sys && defined $operation && eval {
        $operation->(map { $_ eq '-' ? '' : pack('H*', $_) } @fields);
        1;
    };
    print $done ? "ok\n" : failure($name) or exit 1;
}

sub failure {
    my ($name) = @_;
    my $error = $@;
    my ($number, $text) = ref $error ? @$error : (0, $error || "$name cannot be done on machine '$machine'");
    return sprintf "err %d %s\n", $number, unpack('H*', $text) || '-';
}

# Dies with [errno, text] unless the call returned 0 or more.
sub check {
    my ($result, $what) = @_;
    die [$! + 0, "$what: $!"] if $result < 0;
    return $result;
}

sub mount_tmpfs {
    my ($target, $options) = @_;
    my $type = "tmpfs";
    check(syscall($sys->{mount}, $type, $target, $type, $MS_NOSUID | $MS_NODEV, $options), "mount tmpfs at $target");
}

# The source of /dev is a tmpfs too, but one on which devices work.
sub mount_device_tmpfs {
    my ($target) = @_;
    my ($type, $options) = ("tmpfs", "size=64k,nr_inodes=32,mode=755");
    check(syscall($sys->{mount}, $type, $target, $type, $MS_NOSUID | $MS_NOEXEC, $options), "mount tmpfs at $target");
}

# A place that running sandboxes have in view: what is mounted on it later appears inside them.
sub mount_shared_tmpfs {
    my ($target) = @_;
    my ($type, $options, $none) = ("tmpfs", "size=4k,nr_inodes=2,mode=555", '');
    my $flags = $MS_RDONLY | $MS_NOSUID | $MS_NODEV | $MS_NOEXEC;
    check(syscall($sys->{mount}, $type, $target, $type, $flags, $options), "mount tmpfs at $target");
    check(syscall($sys->{mount}, $none, $target, $none, $MS_SHARED, $none), "share $target");
}

# Mounts `source` read-only on such a place. The flags are set before it is attached, because what has appeared
# in a sandbox keeps the flags that it came with.
sub present_tree {
    my ($source, $target) = @_;
    my $empty = '';
    my $tree = check(
        syscall($SYS_open_tree, $AT_FDCWD, $source, $OPEN_TREE_CLONE | $O_CLOEXEC), "open_tree $source");
    open(my $tree_handle, "<&=", $tree) or die [$! + 0, "open_tree $source: $!"];
    my $attributes = pack('Q4', $ATTR_RDONLY_NOSUID_NODEV_NOEXEC, 0, 0, 0);
    check(syscall($SYS_mount_setattr, $tree, $empty, $AT_EMPTY_PATH, $attributes, length $attributes),
        "mount_setattr on $source");
    check(syscall($SYS_move_mount, $tree, $empty, $AT_FDCWD, $target, $MOVE_MOUNT_F_EMPTY_PATH),
        "move_mount to $target");
}

sub make_device {
    my ($path, $major, $minor) = @_;
    my $number = ($major << 8) | $minor;
    check(syscall($sys->{mknodat}, $AT_FDCWD, $path, $S_IFCHR | 0666, $number), "mknod $path");
    chmod 0666, $path or die [$! + 0, "chmod $path: $!"];
}

sub bind_mount {
    my ($source, $target, $words) = @_;
    my $none = '';
    check(syscall($sys->{mount}, $source, $target, $none, $MS_BIND, $none), "bind $source to $target");
    my $flags = $MS_BIND | $MS_REMOUNT;
    my %flag_of = (ro => $MS_RDONLY, nosuid => $MS_NOSUID, nodev => $MS_NODEV, noexec => $MS_NOEXEC);
    $flags |= $flag_of{$_} for split /,/, $words;
    my $result = syscall($sys->{mount}, $none, $target, $none, $flags, $none);
    return if $result >= 0;
    my @error = ($! + 0, "remount $target: $!");
    syscall($sys->{umount2}, $target, $MNT_DETACH | $UMOUNT_NOFOLLOW);
    die \@error;
}

sub unmount {
    my ($target) = @_;
    return if syscall($sys->{umount2}, $target, $UMOUNT_NOFOLLOW) == 0;
    return if $!{EINVAL} || $!{ENOENT};    # not a mount point, or no such path
    check(syscall($sys->{umount2}, $target, $MNT_DETACH | $UMOUNT_NOFOLLOW), "umount $target");
}

# A read-only view of `source` at `target` in which the owners 0..count-1 appear as base..base+count-1.
sub idmapped_mount {
    my ($source, $target, $base, $count) = @_;
    my $namespace = user_namespace($base, $count);
    my $empty = '';
    my $tree = check(
        syscall($SYS_open_tree, $AT_FDCWD, $source, $OPEN_TREE_CLONE | $O_CLOEXEC), "open_tree $source");
    # Closed when it leaves this scope.
    open(my $tree_handle, "<&=", $tree) or die [$! + 0, "open_tree $source: $!"];
    my $attributes = pack('Q4', $ATTR_RDONLY_NOSUID_NODEV_NOATIME_IDMAP, $ATTR_ATIME_ALL, $MS_PRIVATE, fileno $namespace);
    check(syscall($SYS_mount_setattr, $tree, $empty, $AT_EMPTY_PATH, $attributes, length $attributes),
        "mount_setattr (idmap) on $source");
    check(syscall($SYS_move_mount, $tree, $empty, $AT_FDCWD, $target, $MOVE_MOUNT_F_EMPTY_PATH),
        "move_mount to $target");
}

# An open user namespace with the range mapped; a child exists just long enough to own it.
sub user_namespace {
    my ($base, $count) = @_;
    pipe(my $ready_read, my $ready_write) or die [$! + 0, "pipe: $!"];
    pipe(my $end_read, my $end_write) or die [$! + 0, "pipe: $!"];
    my $child = fork;
    die [$! + 0, "fork: $!"] unless defined $child;
    if ($child == 0) {
        close $end_write;
        my $result = syscall($sys->{unshare}, $CLONE_NEWUSER);
        syswrite $ready_write, $result == 0 ? 'y' : 'n';
        sysread $end_read, my $ignored, 1;
        kill 'KILL', $$;
    }
    close $ready_write;
    my $namespace = eval { mapped_namespace($child, $ready_read, "0 $base $count") };
    my $error = $@;
    close $end_write;
    kill 'KILL', $child;
    waitpid $child, 0;
    die $error unless $namespace;
    return $namespace;
}

sub mapped_namespace {
    my ($child, $ready, $map) = @_;
    sysread $ready, my $answer, 1;
    die [0, 'the kernel refused a user namespace (unshare)'] unless ($answer // '') eq 'y';
    write_file("/proc/$child/uid_map", $map);
    write_file("/proc/$child/gid_map", $map);
    open(my $namespace, '<', "/proc/$child/ns/user") or die [$! + 0, "open user namespace: $!"];
    return $namespace;
}

# Adds `base` to every owner below `path`, links not followed: for hosts without idmapped mounts.
sub shift_owners {
    my ($path, $base) = @_;
    my @pending = ($path);
    while (defined(my $entry = pop @pending)) {
        my @status = lstat $entry or die [$! + 0, "lstat $entry: $!"];
        my ($mode, $uid, $gid) = @status[2, 4, 5];
        check(syscall($sys->{fchownat}, $AT_FDCWD, $entry, $uid + $base, $gid + $base, $AT_SYMLINK_NOFOLLOW),
            "chown $entry");
        # chown clears set-id bits of programs; the mode is otherwise kept.
        next if ($mode & $S_IFMT) != $S_IFDIR;
        opendir(my $directory, $entry) or die [$! + 0, "opendir $entry: $!"];
        push @pending, map { "$entry/$_" } grep { $_ ne '.' && $_ ne '..' } readdir $directory;
    }
}

sub read_file {
    my ($path) = @_;
    open(my $file, '<', $path) or return '';
    local $/;
    return scalar <$file> // '';
}

sub write_file {
    my ($path, $text) = @_;
    open(my $file, '>', $path) or die [$! + 0, "open $path: $!"];
    defined syswrite($file, $text) or die [$! + 0, "write $path: $!"];
    close $file or die [$! + 0, "write $path: $!"];
}
