package proof

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// complaints come in through a function that can't read one, neither by id nor by a list. Only the operator's
// function can, and nobody deletes any.
func TestOnlyTheOperatorsFunctionMayReadAComplaint(t *testing.T) {
	t.Parallel()
	may := map[string]map[string]string{
		"OperatorFunction": {
			"ComplaintsTable":               "GetItem PutItem Query UpdateItem",
			"ComplaintsTable/index/listed":  "Query",
			"ComplaintsTable/index/account": "Query",
		},
		// Evidence requests, which their account asked to be told of; no complaint.
		"NotifierFunction": {"ComplaintsTable if LeadingKeys evr_*": "GetItem Query"},
		// The evidence request that a bundle answers.
		"RecipientsFunction": {"ComplaintsTable if LeadingKeys evr_*": "GetItem"},
		"AccountFunction": {
			"ComplaintsTable if LeadingKeys cmp_*":                             "PutItem",
			"ComplaintsTable if LeadingKeys source#*":                          "UpdateItem",
			"ComplaintsTable if LeadingKeys evr_*":                             "GetItem PutItem Query UpdateItem",
			"ComplaintsTable if LeadingKeys apl_* appealed#*":                  "PutItem",
			"ComplaintsTable/index/account if LeadingKeys evidence#* appeal#*": "Query",
		},
	}
	for name, f := range functions(t) {
		got := map[string]string{}
		for what, actions := range f.granted() {
			if strings.HasPrefix(what, "ComplaintsTable") {
				got[what] = actions
			}
		}
		if !maps.Equal(got, may[name]) {
			t.Errorf("%s may %v, want %v", name, got, may[name])
		}
		if _, reads := f.environment["COMPLAINTS_SEAL_PRIVATE"]; reads != (name == "OperatorFunction") {
			t.Errorf("%s has the key that opens complaints: %v; its settings are %v", name, reads, slices.Sorted(maps.Keys(f.environment)))
		}
	}
}
