package redis

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// digestOf is what the server keeps of a password. With it the password itself is in no
// command, and in no log of the server.
func digestOf(password string) string {
	sum := sha256.Sum256([]byte(password))
	return hex.EncodeToString(sum[:])
}

// rulesOf are those of a project's user. They begin with reset, for the server adds rules
// to those that it has.
//
// It is an allow list: with +@all -@dangerous a project would list the keys of all others,
// read and delete their functions, and follow every key that is written. It has no SELECT,
// for all is in database 0; no SCAN, which cannot be kept to a prefix; and no Lua, which
// could hold up the server.
func rulesOf(prefix, password string) []any {
	rules := []any{"reset", "on", "#" + digestOf(password), "~" + prefix + "*", "&" + prefix + "*", "-@all"}
	for rule := range strings.FieldsSeq(`
		+@string +@hash +@list +@set +@sortedset +@stream +@bitmap +@hyperloglog +@geo +@transaction
		+del +unlink +exists +expire +expireat +expiretime +pexpire +pexpireat +pexpiretime +persist +pttl +ttl +touch +type
		+rename +renamenx +copy +dump
		+publish +subscribe +unsubscribe +psubscribe +punsubscribe +spublish +ssubscribe +sunsubscribe
		+auth +hello +ping +echo +quit +reset +client|getname +client|setname +client|id +acl|whoami +command +time
		-@dangerous -@admin`) {
		rules = append(rules, rule)
	}
	return rules
}

// The commands by which rules are compared: the server writes rules in its own words, which
// are others in each version. KEY is a key, or a channel, of the project's, ALL the pattern
// of all, OTHER a key or a channel of somebody else's.
const (
	allowed = `
GET KEY|SET KEY x|DEL KEY|HSET KEY f x|LPUSH KEY x|BLPOP KEY 0|SADD KEY x|ZADD KEY 1 x|XADD KEY * f x|XREAD STREAMS KEY 0
SETBIT KEY 1 1|PFADD KEY x|GEOADD KEY 1 1 x|MULTI|EXEC|WATCH KEY|MSET KEY x KEY x|EXPIRE KEY 1|TTL KEY|TYPE KEY|COPY KEY KEY
RENAME KEY KEY|UNLINK KEY|EXISTS KEY|DUMP KEY|PUBLISH KEY x|SUBSCRIBE KEY|PSUBSCRIBE ALL|SPUBLISH KEY x|PING|ECHO x|TIME
HELLO 3|ACL WHOAMI|CLIENT ID|CLIENT SETNAME x|COMMAND COUNT`
	denied = `
GET OTHER|SET OTHER x|DEL OTHER|EXISTS OTHER|TYPE OTHER|DUMP OTHER|HGETALL OTHER|XREAD STREAMS OTHER 0|WATCH OTHER
MSET KEY x OTHER x|COPY OTHER KEY|COPY KEY OTHER|RENAME KEY OTHER|SUNIONSTORE KEY OTHER|LMOVE OTHER KEY LEFT LEFT
PUBLISH OTHER x|SUBSCRIBE OTHER|PSUBSCRIBE *|SPUBLISH OTHER x
SCAN 0|KEYS *|KEYS ALL|RANDOMKEY|DBSIZE|FLUSHALL|FLUSHDB|SWAPDB 0 1|SELECT 0|MOVE KEY 1|SORT KEY|RESTORE KEY 0 x
MIGRATE h 1 KEY 0 1|OBJECT ENCODING KEY|INFO|MONITOR|ROLE|WAIT 0 0|SAVE|BGSAVE|SHUTDOWN|REPLICAOF NO ONE|FAILOVER
CONFIG GET *|CONFIG SET maxmemory 0|CONFIG REWRITE|ACL LIST|ACL USERS|ACL GETUSER default|ACL SETUSER x|ACL DELUSER x|ACL SAVE|ACL LOG
CLIENT LIST|CLIENT KILL ID 1|CLIENT PAUSE 1|CLIENT TRACKING ON|CLIENT NO-EVICT ON|CLIENT UNBLOCK 1|CLIENT REPLY OFF
EVAL x 0|EVALSHA x 0|EVAL_RO x 0|SCRIPT LOAD x|SCRIPT FLUSH|SCRIPT KILL|FUNCTION LOAD x|FUNCTION LIST|FUNCTION FLUSH|FCALL f 0
MODULE LIST|MEMORY STATS|MEMORY USAGE KEY|LATENCY LATEST|SLOWLOG GET|LOLWUT|DEBUG OBJECT KEY|CLUSTER INFO|PUBSUB CHANNELS|SYNC`
)

// commandsOf are the commands of a table, with a project's prefix in them.
func commandsOf(table, prefix string) (commands [][]any) {
	for text := range strings.FieldsFuncSeq(table, func(r rune) bool { return r == '|' || r == '\n' }) {
		var words []any
		for word := range strings.FieldsSeq(text) {
			switch word {
			case "KEY":
				word = prefix + "x"
			case "ALL":
				word = prefix + "*"
			case "OTHER":
				word = "x" + prefix + "x"
			}
			words = append(words, word)
		}
		commands = append(commands, words)
	}
	return commands
}

// differ lists how what a user may is not as its rules have it, in words. It changes
// nothing: the server only tells what it would do.
func (c *session) differ(ctx context.Context, name string) (differences []string, err error) {
	for _, kind := range []struct {
		table, verb string
		may         bool
	}{{allowed, "may not run", true}, {denied, "may run", false}} {
		commands := commandsOf(kind.table, prefixOf(name))
		pipe := c.Pipeline()
		answers := make([]*redis.Cmd, len(commands))
		for i, words := range commands {
			answers[i] = pipe.Do(ctx, append([]any{"ACL", "DRYRUN", name}, words...)...)
		}
		if _, err := pipe.Exec(ctx); err != nil && answered(err) == "" {
			return nil, fmt.Errorf("ask what %s may: %w", name, err)
		}
		var wrong []string
		for i, answer := range answers {
			said, err := answer.Text()
			switch {
			case strings.HasPrefix(answered(err), "NOPERM"), err != nil && answered(err) == "":
				return nil, fmt.Errorf("ask what %s may: %w", name, err)
			case err != nil && !kind.may:
				// This server has no such command.
			case (said == "OK") != kind.may:
				wrong = append(wrong, strings.Trim(fmt.Sprint(commands[i]), "[]"))
			}
		}
		if len(wrong) > 0 {
			differences = append(differences, fmt.Sprintf("the user %s %s %s", name, kind.verb, some(wrong)))
		}
	}
	return differences, nil
}

// some are the first of many, with how many there are more.
func some(all []string) string {
	const most = 8
	if len(all) <= most {
		return strings.Join(all, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(all[:most], ", "), len(all)-most)
}
