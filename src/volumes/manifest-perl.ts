/**
 * Writes a manifest with Perl's base modules and `b2sum`, which are on every Debian and Ubuntu. Same arguments, same
 * output as `manifest-python.ts`. Perl's own `stat` has no nanoseconds and it has no call for extended attributes: both
 * come from the kernel directly, by the call numbers of each architecture (linux/arch/…/unistd).
 */
export const perlManifest = String.raw`
use strict; use warnings; use Config; use Fcntl qw(:DEFAULT :mode); use Errno qw(ENOENT ENOTDIR ENODATA ENOTSUP EPERM);

my ($root, $mode, $out, $previous, $workers, $since) = @ARGV;
my $full = $mode eq 'full';
my %calls = (
  x86_64 => [332, 195, 192], aarch64 => [291, 12, 9], riscv64 => [291, 12, 9], loongarch64 => [291, 12, 9],
  i386 => [383, 233, 230], i486 => [383, 233, 230], i586 => [383, 233, 230], i686 => [383, 233, 230],
  arm => [397, 233, 230], powerpc64le => [383, 216, 213], ppc64le => [383, 216, 213], s390x => [379, 231, 228],
);
my ($machine) = $Config{archname} =~ /^([a-z0-9_]+?)(?=-|$)/;
my $numbers = $calls{$machine} or die "no call numbers for $machine\n";
my ($STATX, $LLISTXATTR, $LGETXATTR) = @$numbers;
# File systems stamp changes with the kernel's last tick; old ones with the last second or two.
my ($TICK, $COARSE) = (100000000, 2000000000);

my $buffer = "\0" x 256;
sub status {
  my $path = $_[0] . '';
  $! = 0;
  return undef if syscall($STATX, -100, $path, 0x100, 0x7ff, $buffer) == -1;
  # attributes are left out; times: access, birth, change, modification
  my ($nlink, $uid, $gid, $mode, $ino, $size, $blocks, $cs, $cn, $ms, $mn, $rmaj, $rmin, $dmaj, $dmin) =
    unpack('x16 L L L S x2 Q Q Q x8 x32 q L x4 q L x4 L L L L', $buffer);
  return { nlink => $nlink, uid => $uid, gid => $gid, mode => $mode, ino => $ino, size => $size, blocks => $blocks,
    ctime => sprintf('%d.%09d', $cs, $cn), mtime => sprintf('%d.%09d', $ms, $mn), rdev => "$rmaj:$rmin", dev => "$dmaj:$dmin" };
}
my $now = $since ne '' ? $since : do {
  my $spec = "\0" x 16;
  my %clock = (x86_64 => 228, aarch64 => 113, riscv64 => 113, loongarch64 => 113, i386 => 265, i486 => 265, i586 => 265,
    i686 => 265, arm => 263, powerpc64le => 246, ppc64le => 246, s390x => 260);
  # 32-bit machines fill in 32-bit numbers, which the second form reads.
  syscall($clock{$machine}, 0, $spec) == 0 or die "no clock: $!\n";
  my ($seconds, $nanos) = $Config{ptrsize} == 8 ? unpack('q q', $spec) : unpack('l l', $spec);
  sprintf('%d%09d', $seconds, $nanos);
};

my @table = map { $_ >= 0x21 && $_ <= 0x7e && $_ != 0x25 ? chr($_) : sprintf('%%%02x', $_) } 0 .. 255;
sub escape { my $raw = shift; $raw =~ s/([^!-\$&-~])/$table[ord $1]/gs; return $raw }
sub unescape { my $text = shift; $text =~ s/%([0-9a-f]{2})/chr(hex $1)/ge; return $text }
sub place { return $_[0] eq '.' ? $root : $root . '/' . unescape($_[0]) }

my ($earlier, $limit, $candidate);
if ($previous ne '') {
  open(my $file, '<', "$previous.json") or die "$previous.json: $!\n";
  my ($started) = (join '', <$file>) =~ /"startedNs": ?"(\d+)"/ or die "$previous.json has no start\n";
  $limit = $started;
  open($earlier, '<', $previous) or die "$previous: $!\n";
  $candidate = next_candidate();
}
# Numbers of nanoseconds since the epoch do not fit into the floating point of 32-bit machines: in two parts.
sub later {
  my ($seconds, $nanos, $time) = @_;
  my $slack = $nanos eq '000000000' ? $COARSE : $TICK;
  my $ahead = ($seconds - substr($time, 0, -9)) * 1e9 + $nanos - substr($time, -9);
  return $ahead > -$slack;
}
sub next_candidate {
  while (defined(my $line = <$earlier>)) {
    chomp $line;
    my ($shared, undef, $local) = split /\t/, $line;
    my @fields = split / /, $shared;
    next if length($fields[12]) != 64;
    my ($ctime, $inode) = split / /, $local;
    my ($seconds, $nanos) = split /\./, $ctime;
    next if later($seconds, $nanos, $limit);
    (my $key = $fields[0]) =~ tr{/}{\x01};
    return [$key, "$fields[5] $fields[6] $ctime $inode", $fields[12]];
  }
  return undef;
}
sub known_hash {
  my ($key, $identity) = @_;
  $key =~ tr{/}{\x01};
  $candidate = next_candidate() while $candidate && $candidate->[0] lt $key;
  return $candidate->[2] if $candidate && $candidate->[0] eq $key && $candidate->[1] eq $identity;
  return undef;
}

my %ignored = map { $_ => 1 } qw(security.selinux security.evm security.ima);
my $names = "\0" x 65536;
my $value = "\0" x 65536;
sub attributes {
  my $path = $_[0] . '';
  my $length = syscall($LLISTXATTR, $path, $names, 65536);
  if ($length < 0) {
    return ('-', '-') if $! == ENOTSUP || $! == ENOENT || $! == EPERM;
    die "$path: $!\n";
  }
  return ('-', '-') if $length == 0;
  my (@acl, @other);
  for my $name (sort split /\0/, substr($names, 0, $length)) {
    my $is_acl = $name =~ /^system\.posix_acl_/;
    next if !$is_acl && ($ignored{$name} || $name !~ /^(?:user|trusted|security)\./);
    my $size = syscall($LGETXATTR, $path, "$name", $value, 65536);
    if ($size < 0) { next if $! == ENODATA || $! == ENOENT; die "$path: $!\n" }
    my $pair = escape($name) . '=' . unpack('H*', substr($value, 0, $size));
    if ($is_acl) { push @acl, $pair } else { push @other, $pair }
  }
  return (join(',', @acl) || '-', join(',', @other) || '-');
}

sub hole_bytes {
  my ($path, $st) = @_;
  return 0 if $st->{blocks} * 512 >= $st->{size};
  sysopen(my $file, $path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK) or return 0;
  my ($total, $position, $size) = (0, 0, $st->{size});
  while ($position < $size) {
    my $hole = sysseek($file, $position, 4);
    return 0 if !defined $hole;
    $hole += 0;
    last if $hole >= $size;
    my $data = sysseek($file, $hole, 3);
    $position = defined $data ? $data + 0 : $size;
    $total += $position - $hole;
  }
  return $total;
}

exit 75 if (<STDIN> // '') ne "go\n";
my %sum = (entries => 0, files => 0, bytes => 0, hashedBytes => 0, reusedBytes => 0, skippedMounts => 0, unreadable => 0,
  allocatedBytes => 0, inodes => 0);
my (%links, $jobs);
$jobs = 0;
open(my $meta, '>', "$out.meta") or die "$out.meta: $!\n";
open(my $todo, '>', "$out.todo") or die "$out.todo: $!\n";
my %kinds = (S_IFREG, 'f', S_IFDIR, 'd', S_IFLNK, 'l', S_IFIFO, 'p', S_IFSOCK, 's', S_IFCHR, 'c', S_IFBLK, 'b');

sub record {
  my ($text, $path, $st) = @_;
  my $kind = $kinds{S_IFMT($st->{mode})};
  my ($link, $target, $device, $content, $holes, $size) = ('-', '-', '-', '-', 0, 0);
  if ($kind eq 'l') {
    my $read = readlink $path;
    return if !defined $read;
    $target = escape($read);
  } elsif ($kind eq 'c' || $kind eq 'b') {
    $device = $st->{rdev};
  }
  if ($kind ne 'd' && $st->{nlink} > 1) {
    my $inode = "$st->{dev} $st->{ino}";
    if (defined $links{$inode}) { $link = $links{$inode} } else { $links{$inode} = $text }
  }
  if ($link eq '-') { $sum{inodes}++; $sum{allocatedBytes} += $st->{blocks} * 512 }
  if ($kind eq 'f') {
    $size = $st->{size};
    $sum{files}++;
    $holes = hole_bytes($path, $st);
    if ($link eq '-') {
      $sum{bytes} += $size;
      if ($full) {
        my $identity = "$size $st->{mtime} $st->{ctime} $st->{ino}";
        $content = $earlier ? known_hash($text, $identity) : undef;
        if (defined $content) { $sum{reusedBytes} += $size }
        else { $content = '?'; $jobs++; print $todo "$text $identity\n" }
      }
    }
  }
  my ($acl, $xattr) = attributes($path);
  $sum{entries}++;
  print $meta join(' ', $text, $kind, sprintf('%o', $st->{mode} & 07777), $st->{uid}, $st->{gid}, $size, $st->{mtime},
    $device, $target, $link, $acl, $xattr, $content), "\t$holes\t$st->{ctime} $st->{ino} $st->{nlink}\n";
}

my $top = status($root) or die "$root: $!\n";
record('.', $root, $top);
sub children {
  my ($path, $text) = @_;
  opendir(my $dir, $path) or do { return [] if $! == ENOENT || $! == ENOTDIR; die "$path: $!\n" };
  my $prefix = $text eq '.' ? '' : "$text/";
  return [map { [$prefix . $_->[0], "$path/$_->[1]"] } sort { $a->[0] cmp $b->[0] }
    map { [escape($_), $_] } grep { $_ ne '.' && $_ ne '..' } readdir $dir];
}
my @stack = S_ISDIR($top->{mode}) ? (children($root, '.')) : ();
while (@stack) {
  my $item = shift @{$stack[-1]};
  if (!$item) { pop @stack; next }
  my ($text, $path) = @$item;
  my $st = status($path);
  if (!$st) { next if $! == ENOENT; die "$path: $!\n" }
  record($text, $path, $st);
  if (S_ISDIR($st->{mode})) {
    if ($st->{dev} eq $top->{dev}) { push @stack, children($path, $text) } else { $sum{skippedMounts}++ }
  }
}
close($meta) or die "$out.meta: $!\n";
close($todo) or die "$out.todo: $!\n";

sub is_same {
  my ($path, $identity) = @_;
  my $st = status($path);
  return $st && S_ISREG($st->{mode}) && "$st->{size} $st->{mtime} $st->{ctime} $st->{ino}" eq $identity;
}
sub hash_batch {
  my ($batch, $result) = @_;
  return if !@$batch;
  my %hashes;
  my @readable = grep { is_same($_->[1], $_->[2]) } @$batch;
  if (@readable) {
    open(my $pipe, '-|', 'b2sum', '-l', '256', '-z', '--', map { $_->[1] } @readable) or die "b2sum: $!\n";
    local $/ = "\0";
    while (defined(my $line = <$pipe>)) {
      chomp $line;
      $hashes{substr($line, 66)} = substr($line, 0, 64);
    }
    close $pipe;
  }
  for my $job (@$batch) {
    my $hash = $hashes{$job->[1]};
    print $result "$job->[0] ", defined $hash && is_same($job->[1], $job->[2]) ? $hash : '!', "\n";
  }
  @$batch = ();
}
sub work {
  my ($number, $count) = @_;
  my @load = (0) x $count;
  my ($owner, $index, $in_chunk, $chunk_bytes, @batch) = (0, 0, 64, 0);
  open(my $list, '<', "$out.todo") or die "$out.todo: $!\n";
  open(my $result, '>', "$out.hash$number") or die "$out.hash$number: $!\n";
  while (defined(my $line = <$list>)) {
    chomp $line;
    my ($text, $identity) = split / /, $line, 2;
    my ($size) = split / /, $identity;
    if ($in_chunk == 64 || $chunk_bytes + $size > 8 << 20) {
      ($in_chunk, $chunk_bytes, $owner) = (0, 0, 0);
      for my $i (1 .. $count - 1) { $owner = $i if $load[$i] < $load[$owner] }
    }
    $in_chunk++; $chunk_bytes += $size; $load[$owner] += $size + 65536;
    if ($owner == $number) {
      push @batch, [$index, place($text), $identity];
      hash_batch(\@batch, $result) if @batch == 128;
    }
    $index++;
  }
  hash_batch(\@batch, $result);
  close($result) or die "$out.hash$number: $!\n";
}
my $most = int($jobs / 32) + 1;
my $count = $workers < $most ? $workers : $most;
$count = 1 if $count < 1;
my @pids;
for my $number (1 .. $count - 1) {
  my $pid = fork;
  die "fork: $!\n" if !defined $pid;
  if ($pid == 0) { work($number, $count); exit 0 }
  push @pids, $pid;
}
work(0, $count);
for my $pid (@pids) { waitpid $pid, 0; die "a hashing process failed\n" if $? != 0 }

my @results = map { open(my $file, '<', "$out.hash$_") or die "$out.hash$_: $!\n"; $file } 0 .. $count - 1;
my @heads = map { [split / /, readline($_) // ''] } @results;
my $index = 0;
open(my $final, '>', "$out.new") or die "$out.new: $!\n";
sub digester {
  my $name = shift;
  my $pid = open(my $pipe, '|-') // die "fork: $!\n";
  if ($pid == 0) {
    open(STDOUT, '>', $name) or die "$name: $!\n";
    exec('b2sum', '-l', '256') or die "b2sum: $!\n";
  }
  return $pipe;
}
my ($shared_digest, $holes_digest) = (digester("$out.digest"), digester("$out.holes"));
# Files with holes that the summary names.
my $most_hollow = 1000;
my %hollow;
open(my $lines, '<', "$out.meta") or die "$out.meta: $!\n";
while (defined(my $line = <$lines>)) {
  my ($shared, $holes, $local) = split /\t/, $line;
  if (substr($shared, -2) eq ' ?') {
    my ($owner) = grep { @{$heads[$_]} && $heads[$_][0] == $index } 0 .. $#heads;
    my $content = $heads[$owner][1];
    chomp $content;
    $heads[$owner] = [split / /, readline($results[$owner]) // ''];
    $index++;
    if ($content eq '!') { $sum{unreadable}++ } else { $sum{hashedBytes} += (split / /, $shared)[5] }
    substr($shared, -1) = $content;
  }
  print $final "$shared\t$holes\t$local";
  print $shared_digest "$shared\n";
  if ($holes) {
    my $path = substr($shared, 0, index($shared, ' '));
    print $holes_digest "$path $holes\n";
    $hollow{$path} = $holes if keys %hollow <= $most_hollow;
  }
}
close($final) or die "$out.new: $!\n";
close($shared_digest) or die "b2sum failed\n";
close($holes_digest) or die "b2sum failed\n";
my %digests;
for my $name ('digest', 'holes') {
  open(my $file, '<', "$out.$name") or die "$out.$name: $!\n";
  $digests{$name} = substr(<$file>, 0, 64);
}
unlink "$out.meta", "$out.todo", "$out.digest", "$out.holes", map { "$out.hash$_" } 0 .. $count - 1;
sub quoted { my $text = shift; $text =~ s/(["\\])/\\$1/g; return "\"$text\"" }
my $told = join(', ', map { quoted($_) . ": $hollow{$_}" } sort keys %hollow);
my $text = '{' . join(', ', (map { "\"$_\": $sum{$_}" } sort keys %sum), "\"startedNs\": \"$now\"",
  "\"digest\": \"$digests{digest}\"", "\"holesDigest\": \"$digests{holes}\"",
  keys %hollow <= $most_hollow ? "\"holes\": {$told}" : ()) . '}';
open(my $json, '>', "$out.json.new") or die "$out.json.new: $!\n";
print $json $text;
close($json) or die "$out.json.new: $!\n";
unlink "$out.json";
rename("$out.new", $out) or die "$out: $!\n";
rename("$out.json.new", "$out.json") or die "$out.json: $!\n";
print "$text\n";
`;
