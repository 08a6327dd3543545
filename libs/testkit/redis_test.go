package testkit_test

import (
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/orchard9/rdev/libs/redis/local"
	"github.com/orchard9/rdev/libs/testkit"
)

func TestARedisKeepsItsUsersWhereItWasToldTo(t *testing.T) {
	t.Parallel()
	for users, kept := range map[testkit.RedisUsers]bool{testkit.RedisACLFile: true, testkit.RedisConfigFile: true, testkit.RedisMemory: false} {
		t.Run(string(users), func(t *testing.T) {
			t.Parallel()
			server := testkit.RedisWith(t, users, "databases 1")
			admin := func(command ...string) (string, error) {
				parsed, err := url.Parse(server.AdminURL)
				if err != nil {
					t.Fatal(err)
				}
				password, _ := parsed.User.Password()
				return local.Ask(t.Context(), parsed.Host, parsed.User.Username(), password, command...)
			}
			if answer, err := admin("ACL", "SETUSER", "shop", "on", ">secret", "+ping"); answer != "+OK" || err != nil {
				t.Fatalf("%q, %v", answer, err)
			}
			save := []string{"ACL", "SAVE"}
			if users != testkit.RedisACLFile {
				save = []string{"CONFIG", "REWRITE"}
			}
			if _, err := admin(save...); (err == nil) != kept {
				t.Errorf("%q: %v", save, err)
			}
			if _, err := local.Ask(t.Context(), server.Address, "", "", "PING"); err == nil || !strings.HasPrefix(err.Error(), "NOAUTH") {
				t.Errorf("it lets everybody in: %v", err)
			}
			server.Kill()
			if _, err := admin("PING"); err == nil {
				t.Error("it was killed, and answers")
			}
			server.Start()
			if _, err := local.Ask(t.Context(), server.Address, "shop", "secret", "PING"); (err == nil) != kept {
				t.Errorf("started again: %v", err)
			}
			if _, err := os.Stat(server.ACLFile); (err == nil) != (users == testkit.RedisACLFile) {
				t.Errorf("its ACL file %q: %v", server.ACLFile, err)
			}
		})
	}
}
