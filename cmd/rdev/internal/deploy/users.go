package deploy

import (
	"fmt"
	"strings"

	"github.com/orchard9/rdev/libs/bus/access"
)

// user is one of NATS with the nkey that the server knows it by.
type user struct {
	access.User

	nkey string // public
}

// authorization is a part of a NATS server's configuration.
func authorization(users []user) string {
	var text strings.Builder
	text.WriteString("authorization {\n  users: [\n")
	for _, u := range users {
		fmt.Fprintf(&text, "    # %s\n    {\n      nkey: %s\n", u.Name, u.nkey)
		if len(u.Publish) > 0 {
			fmt.Fprintf(&text, "      permissions: {\n        publish: {\n%s%s        }\n        subscribe: {\n%s        }\n"+
				"        allow_responses: {max: 1, expires: \"1m\"}\n      }\n",
				subjects("allow", u.Publish), subjects("deny", u.Never), subjects("allow", u.Subscribe))
		}
		text.WriteString("    }\n")
	}
	text.WriteString("  ]\n}\n")
	return text.String()
}

// subjects are a list of the configuration, and nothing where there are none.
func subjects(key string, all []string) string {
	if len(all) == 0 {
		return ""
	}
	const indent = "          "
	return indent + key + ": [\n" + indent + "  \"" + strings.Join(all, "\"\n"+indent+"  \"") + "\"\n" + indent + "]\n"
}
