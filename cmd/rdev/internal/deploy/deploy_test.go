package deploy_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/url"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"

	"github.com/orchard9/rdev/cmd/rdev/internal/deploy"
)

// written makes secrets, and reads them as Kubernetes would: by name and key.
func written(t *testing.T, o deploy.Options) (deploy.Installation, map[string]map[string]string) {
	t.Helper()
	made, err := deploy.New(o)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := made.Write(&out); err != nil {
		t.Fatal(err)
	}
	var list struct {
		Kind  string
		Items []struct {
			Kind      string
			Immutable bool
			Metadata  struct{ Name, Namespace string }
			Data      map[string][]byte
		}
	}
	if err := json.Unmarshal(out.Bytes(), &list); err != nil || list.Kind != "List" {
		t.Fatalf("a %q was written, %v", list.Kind, err)
	}
	secrets := map[string]map[string]string{}
	for _, item := range list.Items {
		if item.Kind != "Secret" || !item.Immutable || item.Metadata.Namespace != o.Namespace {
			t.Errorf("%s %s/%s, immutable %t", item.Kind, item.Metadata.Namespace, item.Metadata.Name, item.Immutable)
		}
		secrets[item.Metadata.Name] = map[string]string{}
		for key, value := range item.Data {
			secrets[item.Metadata.Name][key] = string(value)
		}
	}
	return made, secrets
}

func TestTheServersAreKnownByTheNamesThatPodsCallThem(t *testing.T) {
	_, secrets := written(t, deploy.Options{Namespace: "shop"})
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM([]byte(secrets["rdev-nats-tls"]["ca.crt"])) {
		t.Fatal("there is no authority")
	}
	for server, hosts := range map[string][]string{
		"rdev-nats-tls": {
			"nats", "nats.shop.svc", "nats.shop.svc.cluster.local", "nats-0.nats-peers", "nats-2.nats-peers.shop.svc.cluster.local",
			"localhost", "127.0.0.1",
		},
		"rdev-postgres-tls": {"postgres", "postgres.shop.svc.cluster.local"},
	} {
		pair, err := tls.X509KeyPair([]byte(secrets[server]["tls.crt"]), []byte(secrets[server]["tls.key"]))
		if err != nil {
			t.Fatal(err)
		}
		for _, host := range hosts {
			for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
				_, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: authorities, KeyUsages: []x509.ExtKeyUsage{usage}})
				if err != nil {
					t.Errorf("%s as %s: %v", server, host, err)
				}
			}
		}
		if err := pair.Leaf.VerifyHostname("nats.other.svc"); err == nil {
			t.Errorf("%s is known in another namespace", server)
		}
	}
	for name, data := range secrets {
		for key, value := range data {
			block, _ := pem.Decode([]byte(value))
			if block == nil || block.Type == "CERTIFICATE" {
				continue
			}
			if private, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
				if _, err := tls.X509KeyPair([]byte(secrets["rdev-nats-tls"]["ca.crt"]), []byte(value)); err == nil {
					t.Errorf("%s/%s is the key of the authority: %v", name, key, private.Public())
				}
			}
		}
	}
}

func TestEveryUserOfNATSHasASeedAndNoOtherHasIts(t *testing.T) {
	_, secrets := written(t, deploy.Options{Namespace: "rdev"})
	auth := secrets["rdev-nats-auth"]["auth.conf"]
	for _, name := range []string{"gateway", "executor", "provisioner", "audit", "notifier", "migrate", "operator"} {
		pair, err := nkeys.FromSeed([]byte(secrets["rdev-nats-"+name]["seed"]))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if strings.Contains(auth, secrets["rdev-nats-"+name]["seed"]) {
			t.Errorf("the seed of %s is in the configuration", name)
		}
		public, err := pair.PublicKey()
		if err != nil || !nkeys.IsValidPublicUserKey(public) || strings.Count(auth, public) != 1 {
			t.Errorf("%s is %s, %v, %d times in the configuration", name, public, err, strings.Count(auth, public))
		}
	}
}

func TestADatabaseOfTheInstallationHasAPasswordForEachRole(t *testing.T) {
	_, secrets := written(t, deploy.Options{Namespace: "rdev"})
	seen := map[string]bool{}
	for _, role := range []string{"audit", "gateway", "notifier", "provisioner", "migrate"} {
		at, err := url.Parse(secrets["rdev-database"][role+"-url"])
		if err != nil {
			t.Fatal(err)
		}
		password, _ := at.User.Password()
		if at.User.Username() != "rdev_"+role || at.Host != "postgres:5432" || at.Path != "/rdev" || at.Query().Get("sslmode") != "verify-full" {
			t.Errorf("the URL of %s is %s", role, at.Redacted())
		}
		if len(password) < 64 || seen[password] || secrets["rdev-postgres"][role] != password {
			t.Errorf("the password of %s is short, somebody else's, or not the server's", role)
		}
		seen[password] = true
	}
}

func TestTheVaultHasAMasterKey(t *testing.T) {
	_, secrets := written(t, deploy.Options{Namespace: "rdev"})
	line, whole := strings.CutSuffix(secrets["rdev-master-key"]["keys"], "\n")
	if key, err := base64.StdEncoding.DecodeString(line); err != nil || len(key) != 32 || !whole {
		t.Errorf("it has %d bytes, %v", len(key), err)
	}
}

func TestADatabaseElsewhereIsUsedByAll(t *testing.T) {
	const elsewhere = "postgres://somebody:secret@db.example:5433/rdev?sslmode=verify-full"
	_, secrets := written(t, deploy.Options{Namespace: "rdev", DatabaseURL: elsewhere})
	for _, role := range []string{"audit", "gateway", "notifier", "provisioner", "migrate"} {
		if got := secrets["rdev-database"][role+"-url"]; got != elsewhere {
			t.Errorf("the URL of %s is %q", role, got)
		}
	}
	if secrets["rdev-postgres"] != nil || secrets["rdev-postgres-tls"] != nil {
		t.Error("there are secrets of a server that is not used")
	}
}

func TestNothingIsMadeTwice(t *testing.T) {
	_, one := written(t, deploy.Options{Namespace: "rdev"})
	_, two := written(t, deploy.Options{Namespace: "rdev"})
	for name, data := range one {
		for key, value := range data {
			if two[name][key] == value {
				t.Errorf("%s/%s is the same in two installations", name, key)
			}
		}
	}
}

func TestWhatCannotBeRightIsRefusedAndNotRepeated(t *testing.T) {
	for _, o := range []deploy.Options{
		{},
		{Namespace: "Shop"},
		{Namespace: "-shop"},
		{Namespace: strings.Repeat("x", 64)},
		{Namespace: "rdev", DatabaseURL: "db.example/rdev"},
		{Namespace: "rdev", DatabaseURL: "mysql://a:s3cret@db/rdev"},
		{Namespace: "rdev", DatabaseURL: "postgres://a:s3cret%@db/rdev"},
	} {
		_, err := deploy.New(o)
		if err == nil {
			t.Errorf("%+v is accepted", o)
		} else if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the error has the password: %v", err)
		}
	}
}
