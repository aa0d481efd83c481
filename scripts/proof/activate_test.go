package proof

import (
	"slices"
	"strings"
	"testing"
)

// the operator's function writes items of providers and of nothing else in the table of channels, whose own items
// begin with "chn_": it can't make a channel active, whatever its code says, nor can it forge an instruction.
func TestTheOperatorsPolicyWritesNoChannel(t *testing.T) {
	t.Parallel()
	writes := 0
	for what, actions := range functions(t)["OperatorFunction"].granted() {
		if !strings.HasPrefix(what, "ChannelsTable") {
			continue
		}
		for _, a := range strings.Fields(actions) {
			if slices.Contains([]string{"GetItem", "BatchGetItem", "Query"}, a) {
				continue
			}
			writes++
			_, keys, limited := strings.Cut(what, " if LeadingKeys ")
			if !limited {
				t.Errorf("it may %s on %s", a, what)
			}
			for _, key := range strings.Fields(keys) {
				if key != "provider#*" && key != "providers" {
					t.Errorf("it may %s items that begin with %q", a, key)
				}
			}
		}
	}
	if writes == 0 {
		t.Error("no statement about the table was understood")
	}
}
