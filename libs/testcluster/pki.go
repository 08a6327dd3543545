package testcluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// pki is the authority of a cluster. What it issues is written into dir:
// <name>.crt, <name>.key, and <name>.kubeconfig for a client.
type pki struct {
	dir  string
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

// newPKI makes a cluster's authority, its certificates and its clients.
func newPKI(dir string) (*pki, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	p := &pki{dir: dir}
	err := errors.Join(
		p.authority(),
		p.serviceAccounts(),
		p.issue("serving", pkix.Name{CommonName: "kube-apiserver"}),
		p.issue("kubelet-client", masters("kube-apiserver-kubelet-client")),
		p.client("admin", masters("admin")),
		p.client("controller-manager", pkix.Name{CommonName: "system:kube-controller-manager"}),
		p.client("scheduler", pkix.Name{CommonName: "system:kube-scheduler"}),
		p.client("proxy", pkix.Name{CommonName: "system:kube-proxy"}),
		p.client("kubelet", pkix.Name{CommonName: "system:node:" + nodeName, Organization: []string{"system:nodes"}}),
	)
	if err != nil {
		return nil, fmt.Errorf("make the certificates: %w", err)
	}
	return p, nil
}

func masters(name string) pkix.Name {
	return pkix.Name{CommonName: name, Organization: []string{"system:masters"}}
}

func (p *pki) path(file string) string { return filepath.Join(p.dir, file) }

func (p *pki) authority() (err error) {
	if p.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return err
	}
	template := certificate(pkix.Name{CommonName: "testcluster"})
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, p.key.Public(), p.key)
	if err != nil {
		return err
	}
	if p.cert, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	return p.write("ca.crt", "CERTIFICATE", der)
}

// serviceAccounts makes the key pair that service account tokens are signed with.
func (p *pki) serviceAccounts() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	return errors.Join(p.writeKey("sa.key", key), p.write("sa.pub", "PUBLIC KEY", public))
}

// issue makes a certificate that is good for a client and for every server of
// the cluster.
func (p *pki) issue(name string, subject pkix.Name) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := certificate(subject)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	template.DNSNames = []string{"localhost", nodeName, "kubernetes", "kubernetes.default", "kubernetes.default.svc"}
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.ParseIP(nodeIP), net.ParseIP(apiServiceIP)}
	der, err := x509.CreateCertificate(rand.Reader, template, p.cert, key.Public(), p.key)
	if err != nil {
		return err
	}
	return errors.Join(p.writeKey(name+".key", key), p.write(name+".crt", "CERTIFICATE", der))
}

// certificate is good from a little before now, for clocks that jump, to far
// beyond any test.
func certificate(subject pkix.Name) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: subject,
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
	}
}

// client makes a certificate and a kubeconfig that uses it.
func (p *pki) client(name string, subject pkix.Name) error {
	if err := p.issue(name, subject); err != nil {
		return err
	}
	config := api.NewConfig()
	config.Clusters["testcluster"] = &api.Cluster{Server: apiURL, CertificateAuthority: p.path("ca.crt")}
	config.AuthInfos[name] = &api.AuthInfo{ClientCertificate: p.path(name + ".crt"), ClientKey: p.path(name + ".key")}
	config.Contexts[name] = &api.Context{Cluster: "testcluster", AuthInfo: name}
	config.CurrentContext = name
	return clientcmd.WriteToFile(*config, p.path(name+".kubeconfig"))
}

// config is the configuration of a client; its certificates are in it, so that
// it outlives the files.
func (p *pki) config(name string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", p.path(name+".kubeconfig"))
	if err != nil {
		return nil, err
	}
	if err := rest.LoadTLSFiles(config); err != nil {
		return nil, err
	}
	config.QPS = -1 // tests are in a hurry
	return config, nil
}

func (p *pki) writeKey(file string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return p.write(file, "EC PRIVATE KEY", der)
}

func (p *pki) write(file, kind string, der []byte) error {
	return os.WriteFile(p.path(file), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
