package validate

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

const (
	hostLen  = 253 // of a name, without the dot at its end
	labelLen = 63
)

// Host is the name of a host as DNS has it: 2 labels or more of a-z, 0-9 and hyphen, other
// letters in punycode, 253 bytes at most. wrong is what the name must be and is not, "" where it
// is fine. Host of what it has returned is the same.
func Host(name string) (ascii, wrong string) {
	switch {
	case strings.ContainsAny(name, ":/@?#"):
		return "", "must be the name of a host alone, as shop.example.com: no address, scheme, port or path"
	case strings.Contains(name, "*"):
		return "", "must not be a wildcard"
	case strings.ContainsRune(name, utf8.RuneError):
		return "", "must be UTF-8 text"
	}
	ascii, err := idna.Lookup.ToASCII(name)
	if err != nil {
		return "", "must be the name of a host, as shop.example.com: labels of letters, digits and hyphens with dots between them"
	}
	if strings.HasSuffix(ascii, ".") {
		return "", "must not end with a dot"
	}
	labels := strings.Split(ascii, ".")
	for _, label := range labels {
		if label == "" || len(label) > labelLen {
			return "", "must have labels of 1 to 63 characters, as DNS counts them"
		}
	}
	switch last := labels[len(labels)-1]; {
	case len(ascii) > hostLen:
		return "", "must have at most 253 characters, as DNS counts them"
	case last[0] < 'a': // a digit: 10.0.0.1, or what some programs read as an address
		return "", "must be a name, and not an address"
	case len(labels) < 2:
		return "", "must have two labels or more, as shop.example.com"
	}
	return ascii, ""
}

// ReservedLabel tells whether a label is not to be the first one of a project's host right
// below the installation's own domain: one that the operator uses, or that programs of others
// ask for by themselves and believe.
func ReservedLabel(label string) bool {
	switch strings.TrimRight(label, "0123456789") { // ns1, mx2
	case
		// The operator's own.
		"rdev", "www", "api", "app", "admin", "administrator", "root", "dashboard", "console", "login", "auth", "sso", "id", "accounts",
		"status", "health", "metrics", "grafana", "prometheus", "alertmanager", "logs", "git", "gitea", "forge", "ci", "woodpecker", "registry",
		"docker", "packages", "artifacts", "nats", "db", "database", "postgres", "redis", "cache", "k8s", "kubernetes", "vpn", "ssh", "bastion",
		"gateway", "proxy", "cdn", "static", "assets", "docs", "help", "support", "billing", "security", "abuse",
		// Mail, which is believed by its name.
		"mail", "email", "webmail", "smtp", "imap", "pop", "mx", "relay", "postmaster", "hostmaster", "webmaster", "mta-sts", "autodiscover", "autoconfig",
		// What programs ask for by themselves.
		"ns", "dns", "ftp", "sftp", "ntp", "ldap", "kerberos", "wpad", "isatap", "localhost", "localdomain", "broadcasthost", "gopher":
		return true
	}
	return false
}
