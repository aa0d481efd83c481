package gateway

import (
	"net/http"
	"strconv"
	"strings"
)

// CORS is the API's CORS configuration.
type CORS struct {
	AllowOrigins, AllowMethods, AllowHeaders, ExposeHeaders []string
	AllowCredentials                                        bool
	// MaxAge in seconds; 0: not said.
	MaxAge int
}

func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

// preflight answers for the functions, which never see a preflight.
func (c *CORS) preflight(w http.ResponseWriter, r *http.Request) {
	if c.allow(w, r) {
		set := func(name string, values []string) {
			if len(values) > 0 {
				w.Header().Set(name, strings.Join(values, ","))
			}
		}
		set("Access-Control-Allow-Methods", c.AllowMethods)
		set("Access-Control-Allow-Headers", c.AllowHeaders)
		w.Header().Del("Access-Control-Expose-Headers")
		if c.MaxAge > 0 {
			w.Header().Set("Access-Control-Max-Age", strconv.Itoa(c.MaxAge))
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// allow puts the API's own CORS headers in place of those of a function, and tells whether the origin is allowed.
func (c *CORS) allow(w http.ResponseWriter, r *http.Request) bool {
	for name := range w.Header() {
		if strings.HasPrefix(name, "Access-Control-") {
			w.Header().Del(name)
		}
	}
	origin := r.Header.Get("Origin")
	allowed, ok := c.match(origin)
	if origin == "" || !ok {
		return false
	}
	w.Header().Set("Access-Control-Allow-Origin", allowed)
	if allowed != "*" {
		w.Header().Add("Vary", "Origin")
	}
	if len(c.ExposeHeaders) > 0 {
		w.Header().Set("Access-Control-Expose-Headers", strings.Join(c.ExposeHeaders, ","))
	}
	if c.AllowCredentials {
		w.Header().Set("Access-Control-Allow-Credentials", "true")
	}
	return true
}

func (c *CORS) match(origin string) (string, bool) {
	for _, pattern := range c.AllowOrigins {
		switch {
		case pattern == "*":
			return "*", true
		case strings.EqualFold(pattern, origin), strings.HasSuffix(pattern, "://*") && strings.HasPrefix(origin, strings.TrimSuffix(pattern, "*")):
			return origin, true
		}
	}
	return "", false
}
