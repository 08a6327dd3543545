package redis

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/orchard9/rdev/libs/testkit"
)

// What a project may not, to the keys of another, to the server, and to rdev. OWN is a key,
// or a channel, of its own, OTHER one of another project's, ALL and ALLOTHER are the
// patterns of all of theirs.
const attacks = `
GET OTHER
SET OTHER x
GETDEL OTHER
GETEX OTHER
APPEND OTHER x
INCR OTHER
STRLEN OTHER
SETRANGE OTHER 0 x
DEL OTHER
UNLINK OTHER
EXISTS OTHER
EXPIRE OTHER 1
PERSIST OTHER
TTL OTHER
TYPE OTHER
TOUCH OTHER
DUMP OTHER
OBJECT ENCODING OTHER
OBJECT FREQ OTHER
MEMORY USAGE OTHER
HGETALL OTHER
HSET OTHER f x
LRANGE OTHER 0 -1
BLPOP OTHER 1
SMEMBERS OTHER
ZRANGE OTHER 0 -1
XRANGE OTHER - +
XREAD STREAMS OTHER 0
XREADGROUP GROUP g c STREAMS OTHER >
PFCOUNT OTHER
GETBIT OTHER 0
BITFIELD OTHER GET u8 0
GEOPOS OTHER x
MGET OWN OTHER
MSET OWN x OTHER x
MSETNX OWN x OTHER x
DEL OWN OTHER
RENAME OTHER OWN
RENAME OWN OTHER
RENAMENX OWN OTHER
COPY OTHER OWN
COPY OWN OTHER
LMOVE OTHER OWN LEFT LEFT
RPOPLPUSH OTHER OWN
BLMOVE OTHER OWN LEFT LEFT 1
SMOVE OTHER OWN x
SUNIONSTORE OWN OTHER
SDIFF OWN OTHER
ZUNIONSTORE OTHER 1 OWN
ZRANGESTORE OWN OTHER 0 -1
BITOP NOT OWN OTHER
PFMERGE OWN OTHER
GEORADIUS OWN 1 1 1 m STORE OTHER
GEOSEARCHSTORE OWN OTHER FROMLONLAT 1 1 BYRADIUS 1 m
SORT OTHER
SORT OWN BY nosort GET OTHER
SORT OWN STORE OTHER
SORT_RO OTHER
LMPOP 2 OWN OTHER LEFT
LCS OWN OTHER
WATCH OTHER
MIGRATE 127.0.0.1 1 OTHER 0 1
RESTORE OTHER 0 x
RESTORE OWN 0 x
MOVE OWN 1
SCAN 0
SCAN 0 MATCH ALL
KEYS *
KEYS ALL
RANDOMKEY
DBSIZE
FLUSHALL
FLUSHDB
SWAPDB 0 1
SELECT 0
SELECT 1
PUBLISH OTHER x
SPUBLISH OTHER x
SUBSCRIBE OTHER
SSUBSCRIBE OTHER
PSUBSCRIBE *
PSUBSCRIBE ALLOTHER
PSUBSCRIBE rdev-*
PSUBSCRIBE __keyspace@0__:*
SUBSCRIBE __redis__:invalidate
PUBSUB CHANNELS
PUBSUB NUMSUB OTHER
PUBSUB NUMPAT
CLIENT TRACKING ON BCAST
CLIENT CACHING YES
CLIENT LIST
CLIENT INFO
CLIENT KILL USER admin
CLIENT KILL TYPE normal
CLIENT PAUSE 1
CLIENT UNPAUSE
CLIENT NO-EVICT ON
CLIENT UNBLOCK 1
CLIENT REPLY OFF
EVAL return 0
EVAL redis.call('GET','OTHER') 0
EVAL redis.call('SCAN',0) 0
EVAL redis.call('FLUSHALL') 0
EVAL_RO return 0
EVALSHA 0 0
SCRIPT LOAD x
SCRIPT EXISTS x
SCRIPT FLUSH
SCRIPT KILL
FUNCTION LIST
FUNCTION DUMP
FUNCTION STATS
FUNCTION LOAD x
FUNCTION DELETE others
FUNCTION FLUSH
FUNCTION KILL
FCALL theirs 0
FCALL_RO theirs 0
INFO
MONITOR
ROLE
WAIT 0 0
LOLWUT
MEMORY STATS
MEMORY PURGE
MEMORY DOCTOR
CONFIG GET *
CONFIG SET maxmemory 0
CONFIG REWRITE
CONFIG RESETSTAT
ACL LIST
ACL USERS
ACL GETUSER admin
ACL GETUSER ME
ACL SETUSER ME +@all
ACL SETUSER THEM >x
ACL DELUSER THEM
ACL DRYRUN THEM GET x
ACL SAVE
ACL LOAD
ACL LOG
ACL LOG RESET
ACL GENPASS
ACL CAT
MODULE LIST
MODULE LOAD /tmp/x.so
SLOWLOG GET
SLOWLOG RESET
LATENCY LATEST
LATENCY DOCTOR
DEBUG SLEEP 0
DEBUG OBJECT OWN
SAVE
BGSAVE
BGREWRITEAOF
LASTSAVE
SHUTDOWN NOSAVE
REPLICAOF NO ONE
SLAVEOF NO ONE
FAILOVER
SYNC
PSYNC ? -1
REPLCONF ACK 0
CLUSTER INFO
READONLY
ASKING
HELLO 3 AUTH admin wrong
HELLO 3 AUTH default x
AUTH admin wrong
AUTH wrong
AUTH default x`

func TestAProjectReachesNothingOfAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.server()
	shop, blog := w.create(s, "shop"), w.create(s, "shop-2") // whose name begins as the other's
	library := "#!lua name=others\nredis.register_function('theirs', function() return 1 end)"
	w.do("FUNCTION", "LOAD", library)
	for _, words := range [][]any{{"SET", blog.Prefix + "x", "secret"}, {"RPUSH", blog.Prefix + "list", "secret"}, {"SET", "somebody", "secret"}} {
		w.do(words...)
	}
	before := w.there()
	replace := strings.NewReplacer("ALLOTHER", blog.Prefix+"*", "OTHER", blog.Prefix+"x", "ALL", shop.Prefix+"*", "OWN", shop.Prefix+"x", "ME", shop.User, "THEM", blog.User)
	own := w.client(shop.URL)
	for line := range strings.Lines(attacks) {
		words := list(line)
		if len(words) == 0 {
			continue
		}
		for i, word := range words {
			text, _ := word.(string)
			if i > 0 {
				words[i] = replace.Replace(text)
			}
		}
		if text, _ := words[0].(string); strings.HasPrefix(text, "EVAL") && len(words) > 3 { // a script is one word
			words = []any{words[0], strings.TrimSpace(strings.Join(strings.Fields(replace.Replace(line))[1:len(words)-1], " ")), "0"}
		}
		answer, err := own.Do(t.Context(), words...).Result()
		said := answered(err)
		switch {
		case strings.HasPrefix(said, "NOPERM"), strings.HasPrefix(said, "WRONGPASS"), strings.Contains(said, "command not allowed"):
		default:
			t.Errorf("%v: %v, %v", words, answer, err)
		}
	}
	if after := w.there(); after != before {
		t.Errorf("there was\n%s\nand is\n%s", before, after)
	}
	if functions := w.do("FUNCTION", "LIST"); len(functions.([]any)) != 1 {
		t.Errorf("there are the functions %v", functions)
	}

	// Inside of a transaction it is the same.
	_, err := own.TxPipelined(t.Context(), func(pipe redis.Pipeliner) error {
		pipe.Set(t.Context(), shop.Prefix+"x", 1, 0)
		pipe.Get(t.Context(), blog.Prefix+"x")
		return nil
	})
	if !strings.HasPrefix(answered(err), "NOPERM") && !strings.HasPrefix(answered(err), "EXECABORT") {
		t.Errorf("a transaction: %v", err)
	}
}

// What a program needs is there.
func TestAProjectHasWhatAProgramNeeds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.create(w.server(), "shop")
	program, key := w.client(made.URL), func(name string) string { return made.Prefix + name }
	subscribed := program.Subscribe(t.Context(), key("news"))
	t.Cleanup(func() { _ = subscribed.Close() })
	if _, err := subscribed.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := program.PSubscribe(t.Context(), key("*"))
	t.Cleanup(func() { _ = all.Close() })
	if _, err := all.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := program.TxPipelined(t.Context(), func(pipe redis.Pipeliner) error {
		pipe.Set(t.Context(), key("string"), 1, 0)
		pipe.Incr(t.Context(), key("string"))
		pipe.HSet(t.Context(), key("hash"), "f", 1)
		pipe.LPush(t.Context(), key("list"), 1)
		pipe.SAdd(t.Context(), key("set"), 1)
		pipe.ZAdd(t.Context(), key("sorted"), redis.Z{Score: 1, Member: 1})
		pipe.XAdd(t.Context(), &redis.XAddArgs{Stream: key("stream"), Values: []string{"f", "x"}})
		pipe.PFAdd(t.Context(), key("log"), 1)
		pipe.SetBit(t.Context(), key("bits"), 1, 1)
		pipe.GeoAdd(t.Context(), key("geo"), &redis.GeoLocation{Name: "x", Longitude: 1, Latitude: 1})
		pipe.Rename(t.Context(), key("set"), key("renamed"))
		pipe.Copy(t.Context(), key("list"), key("copied"), 0, true)
		pipe.Publish(t.Context(), key("news"), "hello")
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	for _, subscription := range []*redis.PubSub{subscribed, all} {
		message, err := subscription.ReceiveMessage(t.Context())
		if err != nil || message.Payload != "hello" {
			t.Errorf("it hears %v, %v", message, err)
		}
	}
	if got := program.LRange(t.Context(), key("copied"), 0, -1).Val(); len(got) != 1 {
		t.Errorf("the copy is %q", got)
	}
}

// What gets through the rules has to be prevented by the server's settings: known, and said.
func TestWhatTheRulesDoNotPreventTheServerDoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.server()
	made := w.create(s, "shop")
	own := w.client(made.URL)
	w.do("SET", made.Prefix+"x", 1)
	if err := own.Do(t.Context(), "COPY", made.Prefix+"x", made.Prefix+"x", "DB", "3").Err(); !strings.Contains(answered(err), "out of range") {
		t.Errorf("a copy into another database: %v", err)
	}
	if err := own.SetRange(t.Context(), made.Prefix+"x", 536870911, "x").Err(); !strings.Contains(answered(err), "exceeds maximum allowed size") {
		t.Errorf("a value of 512 MB: %v", err)
	}

	many := watch(t, testkit.RedisWith(t, testkit.RedisACLFile, "databases 4"))
	s = many.server()
	made = many.create(s, "shop")
	own = many.client(made.URL)
	if err := own.Set(t.Context(), made.Prefix+"x", 1, 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := own.Do(t.Context(), "COPY", made.Prefix+"x", made.Prefix+"x", "DB", "3").Err(); err != nil {
		t.Errorf("where it is not prevented: %v", err)
	}
	if differences, err := s.Verify(t.Context(), "shop"); err != nil || len(differences) != 1 || !strings.Contains(differences[0], "set databases to 1") {
		t.Errorf("it says %q, %v", differences, err)
	}
	if err := s.Drop(t.Context(), "shop"); err != nil {
		t.Error(err)
	}
	if left := many.do("INFO", "keyspace"); strings.Contains(left.(string), "db") {
		t.Errorf("left is %s", left)
	}
}
