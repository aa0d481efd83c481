package endpoint

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Targets says where endpoints may be.
type Targets string

// The choices.
const (
	// Public: https, on an address of the public Internet.
	Public Targets = "public"
	// Local: also http, and also on this machine itself, by a name that is not known yet too. For one machine; never for a
	// deployment.
	Local Targets = "local"
)

// ParseTargets reads a setting. Anything but "local" is Public.
func ParseTargets(s string) Targets {
	if s == string(Local) {
		return Local
	}
	return Public
}

// maxURL bounds an endpoint's URL, in bytes.
const maxURL = 2048

// resolveTimeout bounds the look-up of a host's addresses; localTimeout where the machine may know no resolver, and a host may stay unknown.
const (
	resolveTimeout = 3 * time.Second
	localTimeout   = 500 * time.Millisecond
)

// ErrTarget: the URL can't be an endpoint. Its text says why, without the URL.
type ErrTarget string

// Error says why.
func (e ErrTarget) Error() string { return string(e) }

// Resolver finds the addresses of a host.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Check reports why a URL can't be an endpoint, as an ErrTarget, or nil. It resolves the host: every address must be one
// that may be called. What is connected to later is checked again then, by Control.
func (t Targets) Check(ctx context.Context, resolver Resolver, text string) error {
	u, err := t.parse(text)
	if err != nil {
		return err
	}
	timeout := resolveTimeout
	if t == Local {
		timeout = localTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	addresses, err := resolver.LookupNetIP(ctx, "ip", u.Hostname())
	if (err != nil || len(addresses) == 0) && t != Local {
		return ErrTarget("its host can't be resolved")
	}
	for _, a := range addresses {
		if !t.allows(a) {
			return ErrTarget("its host has an address that is not on the public Internet")
		}
	}
	return nil
}

// allows reports whether an address may be called.
func (t Targets) allows(a netip.Addr) bool {
	return public(a) || t == Local && a.Unmap().IsLoopback()
}

func (t Targets) parse(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || len(text) > maxURL || u.Opaque != "" || u.Hostname() == "" || strings.ContainsAny(u.Hostname(), "% ") || strings.ContainsFunc(text, blank):
		return nil, ErrTarget("must be an absolute URL of at most 2048 bytes")
	case !port(u):
		return nil, ErrTarget("must not have a port other than 1 to 65535")
	case number(u.Hostname()):
		return nil, ErrTarget("must have a name as its host, or an address in its usual form")
	case u.Scheme != "https" && (t != Local || u.Scheme != "http"):
		return nil, ErrTarget("must begin with https://")
	case u.User != nil:
		return nil, ErrTarget("must not hold a user name or password")
	case u.Fragment != "" || strings.Contains(text, "#"):
		return nil, ErrTarget("must not have a fragment")
	}
	return u, nil
}

func blank(r rune) bool { return r <= ' ' || r == 0x7f }

// port reports whether a URL has no port, or one that there can be.
func port(u *url.URL) bool {
	n, err := strconv.Atoi(u.Port())
	return err == nil && n >= 1 && n <= 65535 || u.Port() == "" && !strings.HasSuffix(u.Host, ":")
}

// number reports whether a host is what some resolvers take for an IPv4 address, in a form that is none for others: 2130706433,
// 0x7f.1, 127.1, 0177.0.0.1.
func number(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return false
	}
	host = strings.TrimSuffix(host, ".")
	last := host[strings.LastIndexByte(host, '.')+1:]
	hex, isHex := strings.CutPrefix(strings.ToLower(last), "0x")
	return last != "" && strings.Trim(last, "0123456789") == "" || isHex && strings.Trim(hex, "0123456789abcdef") == ""
}

// ErrAddress: what was about to be connected to is no address of the public Internet.
var ErrAddress = errors.New("the address is not on the public Internet")

// Control is for net.Dialer: it sees the very address that is about to be connected to, whatever the host resolved to before.
func (t Targets) Control(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil || !t.allows(ap.Addr()) {
		return ErrAddress
	}
	return nil
}

var _ Resolver = (*net.Resolver)(nil)

// reserved lists what is no public address though Go's netip has no word for it (IANA's special-purpose registries).
func reserved() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"), netip.MustParsePrefix("192.0.2.0/24"),
		netip.MustParsePrefix("192.88.99.0/24"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"),
		netip.MustParsePrefix("240.0.0.0/4"),
		// Of IPv6 only what is given out for global use, less what leads back to IPv4 or to nobody.
		netip.MustParsePrefix("2001::/23"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("3fff::/20"),
	}
}

// public reports whether an address is one of the public Internet. An IPv4 address in IPv6's clothes is taken for what it is.
func public(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsValid() || a.Zone() != "" || !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() {
		return false
	}
	if a.Is6() && !netip.MustParsePrefix("2000::/3").Contains(a) {
		return false
	}
	for _, p := range reserved() {
		if p.Contains(a) {
			return false
		}
	}
	return true
}
