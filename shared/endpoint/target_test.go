package endpoint_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"contactcenter/shared/endpoint"
)

// hosts resolves every host to what it lists.
type hosts map[string][]string

func (h hosts) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	var out []netip.Addr
	for _, a := range h[host] {
		out = append(out, netip.MustParseAddr(a))
	}
	if out == nil {
		return nil, errors.New("no such host")
	}
	return out, nil
}

// notPublic are addresses that nothing must be sent to.
func notPublic() map[string]string {
	return map[string]string{
		"loopback": "127.0.0.1", "loopback, another": "127.9.9.9", "loopback of IPv6": "::1", "private, ten": "10.1.2.3", "private, 172": "172.16.0.1", "private, 192": "192.168.1.1",
		"link-local": "169.254.1.1", "metadata": "169.254.169.254", "metadata of containers": "169.254.170.2", "metadata by IPv6": "fd00:ec2::254", "unique local": "fc00::1",
		"link-local of IPv6": "fe80::1", "multicast": "224.0.0.1", "multicast of IPv6": "ff02::1", "unspecified": "0.0.0.0", "unspecified of IPv6": "::", "this network": "0.1.2.3",
		"shared by carriers": "100.64.0.1", "benchmarks": "198.18.0.1", "documentation": "192.0.2.1", "documentation of IPv6": "2001:db8::1", "reserved": "240.0.0.1", "broadcast": "255.255.255.255",
		"IPv4 in IPv6": "::ffff:127.0.0.1", "IPv4 in IPv6, private": "::ffff:10.0.0.1", "compatible IPv4": "::127.0.0.1", "translated IPv4": "64:ff9b::7f00:1", "6to4 of loopback": "2002:7f00:1::",
		"Teredo": "2001::1", "site-local": "fec0::1",
	}
}

func TestAnEndpointIsOnThePublicInternet(t *testing.T) {
	t.Parallel()
	known := hosts{"crm.example.com": {"93.184.215.14", "2606:2800:21f::1"}, "half.example.com": {"93.184.215.14", "10.0.0.1"}}
	for name, c := range map[string]struct {
		url  string
		good bool
	}{
		"a public host":                        {"https://crm.example.com/hook?a=b", true},
		"another port":                         {"https://crm.example.com:8443/", true},
		"a public address":                     {"https://93.184.215.14/", true},
		"without TLS":                          {"http://crm.example.com/", false},
		"another scheme":                       {"ftp://crm.example.com/", false},
		"a file":                               {"file:///etc/passwd", false},
		"no host":                              {"https:///x", false},
		"relative":                             {"/hook", false},
		"empty":                                {"", false},
		"with a password":                      {"https://me:secret@crm.example.com/", false},
		"with a fragment":                      {"https://crm.example.com/#x", false},
		"a host that nobody knows":             {"https://nowhere.example.com/", false},
		"one of its addresses is not public":   {"https://half.example.com/", false},
		"a number that some take for loopback": {"https://2130706433/", false},
		"an address with a zone":               {"https://[fe80::1%25eth0]/", false},
		"an address of three numbers":          {"https://127.0.1/", false},
		"an address in hexadecimal digits":     {"https://0x7f.0x1/", false},
		"an address in octal digits":           {"https://0177.0.0.1/", false},
		"a number behind a point":              {"https://crm.example.com.1./", false},
		"a port that there is not":             {"https://crm.example.com:65536/", false},
		"port 0":                               {"https://crm.example.com:0/", false},
		"a blank in its path":                  {"https://crm.example.com/a b", false},
		"IPv4 in IPv6, in brackets":            {"https://[::ffff:7f00:1]/", false},
		"too long":                             {"https://crm.example.com/" + strings.Repeat("x", 2048), false},
	} {
		if err := endpoint.Public.Check(t.Context(), known, c.url); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, a := range notPublic() {
		if err := endpoint.Public.Check(t.Context(), hosts{"evil.example.com": {a}}, "https://evil.example.com/"); err == nil {
			t.Errorf("a host at %s (%s) was taken", a, name)
		}
		if err := endpoint.Public.Check(t.Context(), hosts{}, "https://"+netip.AddrPortFrom(netip.MustParseAddr(a), 443).String()+"/"); err == nil {
			t.Errorf("%s (%s) was taken", a, name)
		}
	}
}

// A host may resolve to something else when it is called than when it was registered: what counts is the address at the connect.
func TestWhatIsConnectedToIsCheckedAgain(t *testing.T) {
	t.Parallel()
	for name, a := range notPublic() {
		address := net.JoinHostPort(a, "443")
		if err := endpoint.Public.Control("tcp", address, nil); !errors.Is(err, endpoint.ErrAddress) {
			t.Errorf("%s (%s): %v", address, name, err)
		}
		loopback := netip.MustParseAddr(a).Unmap().IsLoopback()
		if err := endpoint.Local.Control("tcp", address, nil); (err == nil) != loopback {
			t.Errorf("on one machine, %s: %v", address, err)
		}
	}
	for _, address := range []string{"93.184.215.14:443", "[2606:2800:21f::1]:443"} {
		if err := endpoint.Public.Control("tcp", address, nil); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestOnlyTheLocalStackTakesItsOwnMachine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]endpoint.Targets{"": endpoint.Public, "public": endpoint.Public, "any": endpoint.Public, "Local": endpoint.Public, "local": endpoint.Local} {
		if got := endpoint.ParseTargets(text); got != want {
			t.Errorf("%q: %s", text, got)
		}
	}
	known := hosts{"localhost": {"127.0.0.1", "::1"}, "crm.example.com": {"93.184.215.14"}, "inside.example.com": {"10.0.0.1"}}
	for url, good := range map[string]bool{
		"http://127.0.0.1:8080/hook": true, "http://[::1]:8080/": true, "http://localhost:8080/": true, "https://crm.example.com/": true, "https://not-known-yet.example.com/": true,
		"http://inside.example.com/": false, "http://10.0.0.1/": false, "http://169.254.169.254/latest/meta-data": false, "http://0.0.0.0/": false, "http://[fd00::1]/": false,
		"http://2852039166/": false, "gopher://127.0.0.1:8080/hook": false,
	} {
		if err := endpoint.Local.Check(t.Context(), known, url); (err == nil) != good {
			t.Errorf("%s: %v", url, err)
		}
	}
}
