# libredis-perl: perl_client.pl PORT
use strict; use warnings; use Redis; use Time::HiRes 'sleep';
my $port = $ARGV[0];
my $r = Redis->new(server => "127.0.0.1:$port", read_timeout => 10);
sub check { my ($ok, $what) = @_; die "failed: $what\n" unless $ok }
sub eventually { my ($f, $what) = @_; for (1 .. 500) { return if $f->(); sleep 0.01 } die "never: $what\n" }
$r->flushall;
check($r->set(k => "v\r\n") eq 'OK', 'set');
eventually(sub { ($r->get('k') // '') eq "v\r\n" }, 'get');
check($r->incr('n') == 1, 'incr');
$r->hmset('h', a => 1, b => 2);
eventually(sub { my %h = $r->hgetall('h'); ($h{a} // 0) == 1 && $h{b} == 2 }, 'hgetall');
$r->rpush('l', 'a', 'b', 'c');
eventually(sub { join(',', $r->lrange('l', 0, -1)) eq 'a,b,c' }, 'lrange');
my @got; my $failed = 0;
$r->incr('piped', sub { my ($reply, $error) = @_; $failed = 1 if $error; push @got, $reply }) for 1 .. 500;
$r->wait_all_responses;
check(!$failed && join(',', @got) eq join(',', 1 .. 500), 'pipeline');
$r->multi; $r->incr('t'); $r->incr('t'); check(join(',', $r->exec) eq '1,2', 'multi');
check(join(',', $r->eval('return {KEYS[1], ARGV[1]}', 1, 'k', 'a')) eq 'k,a', 'eval');
check(!defined eval { $r->lpush('k', 'x') } && $@ =~ /WRONGTYPE/, 'wrongtype');
my $b = Redis->new(server => "127.0.0.1:$port");
my ($key, $element) = $b->blpop('l', 1); check($element eq 'a', 'blpop');
my $s = Redis->new(server => "127.0.0.1:$port", read_timeout => 5); my @messages;
$s->subscribe('ch', sub { push @messages, $_[0] });
$r->publish('ch', $_) for 1 .. 10;
for (1 .. 50) { last if @messages == 10; $s->wait_for_messages(0.2) }
check(join(',', @messages) eq join(',', 1 .. 10), "pubsub @messages");
$r->sadd('s', "m$_") for 1 .. 300;
eventually(sub { my %all; my $c = 0; do { ($c, my $page) = $r->sscan('s', $c); $all{$_} = 1 for @$page } while $c; keys %all == 300 }, 'sscan');
check($r->info->{role} eq 'master', 'info');
print "ok\n";
