package gateway

import (
	"strings"
	"time"
)

// Route is one route of the API and the function behind it.
type Route struct {
	// Method is in capitals, or ANY; with an empty Path this is the $default route.
	Method string
	// Path has API Gateway's parameters: /v1/messages/{id}, /v1/files/{proxy+}.
	Path string
	// Authorizer is nil for a public route.
	Authorizer *Authorizer
	// Scopes are those of which a token needs at least one.
	Scopes []string
	// Timeout of the integration; 0: 30 seconds, API Gateway's longest.
	Timeout time.Duration
	// Function invokes the function behind the route.
	Function Function
}

func (r Route) key() string {
	if r.Path == "" {
		return "$default"
	}
	return r.Method + " " + r.Path
}

// table finds the route of a request. API Gateway matches the path after decoding it, so an encoded slash parts
// segments like any other.
type table []compiled

type compiled struct {
	Route
	segments []string
}

func compile(routes []Route) table {
	t := make(table, 0, len(routes))
	for _, r := range routes {
		t = append(t, compiled{Route: r, segments: strings.Split(strings.TrimPrefix(r.Path, "/"), "/")})
	}
	return t
}

// find gives the most specific route for a request and the values of its parameters.
func (t table) find(method, path string) (Route, map[string]string, bool) {
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	var best Route
	var bestRank string
	var parameters map[string]string
	for _, c := range t {
		if c.Path != "" && c.Method != method && c.Method != "ANY" {
			continue
		}
		rank, values, ok := c.match(segments)
		if ok && (bestRank == "" || rank < bestRank) {
			best, bestRank, parameters = c.Route, rank, values
		}
	}
	return best, parameters, bestRank != ""
}

// match tells whether a path fits, how closely (a smaller text is closer), and what the parameters are.
func (c compiled) match(path []string) (rank string, values map[string]string, ok bool) {
	if c.Path == "" {
		return "z", nil, true
	}
	var closeness strings.Builder
	values = map[string]string{}
	for i, segment := range c.segments {
		name, greedy := strings.CutSuffix(strings.TrimSuffix(strings.TrimPrefix(segment, "{"), "}"), "+")
		switch {
		case i >= len(path):
			return "", nil, false
		case !strings.HasPrefix(segment, "{"):
			if segment != path[i] {
				return "", nil, false
			}
			closeness.WriteByte('a')
		case greedy:
			rest := strings.Join(path[i:], "/")
			if rest == "" {
				return "", nil, false
			}
			values[name] = rest
			// A route that has no greedy parameter comes first, whatever its other segments are.
			return "g" + closeness.String() + "c" + c.methodRank(), values, true
		case path[i] == "":
			return "", nil, false
		default:
			values[name] = path[i]
			closeness.WriteByte('b')
		}
	}
	if len(c.segments) != len(path) {
		return "", nil, false
	}
	return "f" + closeness.String() + c.methodRank(), values, true
}

func (c compiled) methodRank() string {
	if c.Method == "ANY" {
		return "1"
	}
	return "0"
}
