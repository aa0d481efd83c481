package httpclient_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"contactcenter/shared/provider"
	"contactcenter/shared/provider/httpclient"
)

// data leaves only to the provider's own address in the configuration.
func TestACallLeavesOnlyToTheProvidersOwnAddress(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
	defer s.Close()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("called") }))
	defer elsewhere.Close()
	c := httpclient.Caller{HTTP: httpclient.New(), Base: s.URL + "/api"}
	for name, url := range map[string]string{
		"another port":         elsewhere.URL + "/api/send",
		"another name":         strings.Replace(s.URL, "127.0.0.1", "localhost", 1) + "/api/send",
		"another scheme":       strings.Replace(s.URL, "http:", "https:", 1) + "/api/send",
		"a name that looks so": strings.Replace(s.URL, "127.0.0.1", "127.0.0.1.example.com", 1) + "/api/send",
	} {
		if _, err := do(t, c, url); err == nil || kind(t, err) != provider.Permanent && !strings.Contains(err.Error(), "neither https") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := do(t, c, s.URL+"/api/send"); err != nil || calls.Load() != 1 {
		t.Errorf("the provider itself: %d calls, %v", calls.Load(), err)
	}
}

// TLS 1.2 or newer, except to a simulator on the same machine.
func TestACallIsEncrypted(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]string{
		"another machine":                  "http://192.0.2.1/",
		"a machine of the private network": "http://10.0.0.1/",
		"a name":                           "http://provider.example.com/",
		"another protocol":                 "ftp://127.0.0.1/",
	} {
		if _, err := do(t, httpclient.Caller{HTTP: httpclient.New()}, url); err == nil || name != "another protocol" && !strings.Contains(err.Error(), "neither https nor on this machine") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for version, taken := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		var calls atomic.Int32
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.TLS = &tls.Config{MinVersion: version, MaxVersion: version}
		s.StartTLS()
		client := httpclient.New()
		client.Transport.(*http.Transport).TLSClientConfig.RootCAs = x509.NewCertPool()
		client.Transport.(*http.Transport).TLSClientConfig.RootCAs.AddCert(s.Certificate())
		_, err := do(t, httpclient.Caller{HTTP: client}, s.URL)
		if (err == nil) != taken || (calls.Load() == 1) != taken {
			t.Errorf("%s: %d calls, %v", tls.VersionName(version), calls.Load(), err)
		}
		s.Close()
	}
}
