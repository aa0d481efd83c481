// Package environment reads a function's settings.
package environment

import (
	"errors"
	"fmt"
)

// Require gives the values of environment variables that a function can't do without. The error names each that is not set; it
// never has a value in it.
func Require(getenv func(string) string, names ...string) (map[string]string, error) {
	env := make(map[string]string, len(names))
	var missing []error
	for _, name := range names {
		if env[name] = getenv(name); env[name] == "" {
			missing = append(missing, fmt.Errorf("the environment variable %s is not set", name))
		}
	}
	return env, errors.Join(missing...)
}
