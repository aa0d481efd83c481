package proof

import (
	"maps"
	"slices"
	"testing"
)

// what each function may do, said a second time. A policy that grants more, or less, is
// changed here too, by somebody who knows why.
func TestEachFunctionMayDoWhatItNeedsAndNoMore(t *testing.T) {
	t.Parallel()
	want := map[string]map[string]string{
		"AccountFunction": {
			"AccountsTable":                                                    "GetItem PutItem Query UpdateItem",
			"AuditTable":                                                       "PutItem Query",
			"ComplaintsTable if LeadingKeys cmp_*":                             "PutItem",
			"ComplaintsTable if LeadingKeys evr_*":                             "GetItem PutItem Query UpdateItem",
			"ComplaintsTable if LeadingKeys source#*":                          "UpdateItem",
			"ComplaintsTable if LeadingKeys apl_* appealed#*":                  "PutItem",
			"ComplaintsTable/index/account if LeadingKeys evidence#* appeal#*": "Query",
			"MessagesTable":                                                    "BatchGetItem GetItem",
			"UsageTable":                                                       "GetItem PutItem UpdateItem",
			"UsageTable if LeadingKeys health#provider#* uptime#*":             "Query",
			"ChannelsTable":                                                    "GetItem",
			"ChannelsTable if LeadingKeys providers":                           "Query",
			"ChannelsTable/index/account":                                      "Query",
			"ErasureQueue":                                                     "SendMessage",
			"ReleaseQueue":                                                     "SendMessage",
		},
		"ChannelsFunction": {
			"EventQueue":                         "SendMessage",
			"AccountsTable":                      "GetItem PutItem Query UpdateItem",
			"AuditTable":                         "PutItem",
			"AuditTable if LeadingKeys chain#*":  "Query",
			"ChannelsTable":                      "GetItem PutItem Query UpdateItem",
			"ChannelsTable/index/account":        "Query",
			"UsageTable if LeadingKeys health#*": "BatchGetItem Query",
		},
		"DispatcherFunction": {
			"EventQueue":                         "SendMessage",
			"AccountsTable":                      "GetItem",
			"ChannelsTable":                      "GetItem UpdateItem",
			"DispatchQueue":                      "ChangeMessageVisibility DeleteMessage GetQueueAttributes ReceiveMessage",
			"DispatcherLogGroup":                 "CreateLogStream PutLogEvents",
			"MessagesTable":                      "BatchGetItem GetItem PutItem Query UpdateItem",
			"RecipientsTable":                    "BatchGetItem PutItem",
			"UsageTable":                         "DeleteItem GetItem PutItem UpdateItem",
			"UsageTable if LeadingKeys health#*": "BatchGetItem Query",
		},
		"EndpointsFunction": {
			"AccountsTable":                     "DeleteItem GetItem PutItem Query UpdateItem",
			"AuditTable":                        "PutItem",
			"AuditTable if LeadingKeys chain#*": "Query",
			"EventQueue":                        "SendMessage",
			"EventsTable":                       "PutItem Query",
		},
		"ErasureFunction": {
			"AccountsTable":                        "DeleteItem GetItem Query UpdateItem",
			"ErasureLogGroup":                      "CreateLogStream PutLogEvents",
			"ErasureQueue":                         "ChangeMessageVisibility DeleteMessage GetQueueAttributes ReceiveMessage",
			"MessagesTable":                        "BatchGetItem DeleteItem Query UpdateItem",
			"MessagesTable if LeadingKeys *#inbox": "PutItem",
			"RecipientsTable":                      "DeleteItem GetItem UpdateItem",
			"UsageTable":                           "GetItem PutItem UpdateItem",
			"ChannelsTable if LeadingKeys chn_* templates#*": "DeleteItem GetItem Query",
			"ChannelsTable if LeadingKeys provider#*":        "GetItem UpdateItem",
			"ChannelsTable/index/account":                    "Query",
			"RecipientsTable/index/account":                  "Query",
		},
		"MessagesFunction": {
			"EventQueue":    "SendMessage",
			"AccountsTable": "GetItem PutItem Query UpdateItem",
			"ChannelsTable": "BatchGetItem GetItem",
			"DispatchQueue": "SendMessage",
			"MessagesTable": "BatchGetItem GetItem PutItem Query UpdateItem",
			"MessagesTable if LeadingKeys *#assigned": "DeleteItem",
			"AuditTable":                        "PutItem",
			"AuditTable if LeadingKeys chain#*": "Query",
			"ChannelsTable/index/account":       "Query",
			"MessagesTable/index/held":          "Query",
			"MessagesTable/index/reference":     "Query",
			"RecipientsTable":                   "BatchGetItem GetItem PutItem",
			"UsageTable":                        "BatchGetItem GetItem PutItem UpdateItem",
		},
		"NotifierFunction": {
			"AccountsTable":                        "GetItem Query UpdateItem",
			"ChannelsTable":                        "GetItem",
			"ComplaintsTable if LeadingKeys evr_*": "GetItem Query",
			"DeliveryQueue":                        "DeleteMessage GetQueueAttributes ReceiveMessage SendMessage",
			"EventQueue":                           "DeleteMessage GetQueueAttributes ReceiveMessage SendMessage",
			"EventsTable":                          "GetItem PutItem Query UpdateItem",
			"EventsTable/index/due":                "Query",
			"MessagesTable":                        "GetItem",
			"NotifierLogGroup":                     "CreateLogStream PutLogEvents",
			"UsageTable":                           "GetItem",
			"UsageTable if LeadingKeys health#*":   "BatchGetItem",
		},
		"OperatorFunction": {
			"EventQueue":                          "SendMessage",
			"AccountsTable":                       "GetItem PutItem Query UpdateItem",
			"AccountsTable if LeadingKeys plan#*": "DeleteItem",
			"AuditTable":                          "PutItem Query",
			"AuditTable/index/shard":              "Query",
			"ChannelsTable if LeadingKeys chn_*":  "GetItem",
			"ChannelsTable if LeadingKeys provider#* providers": "GetItem PutItem Query UpdateItem",
			"ComplaintsTable":                    "GetItem PutItem Query UpdateItem",
			"ComplaintsTable/index/account":      "Query",
			"ComplaintsTable/index/listed":       "Query",
			"ReleaseQueue":                       "SendMessage",
			"UsageTable":                         "GetItem PutItem UpdateItem",
			"UsageTable if LeadingKeys health#*": "BatchGetItem",
			"UsageTable if LeadingKeys health#provider#* uptime#*": "Query",
		},
		"QuotaResetFunction": {
			"EventQueue":                             "SendMessage",
			"AccountsTable":                          "GetItem Query",
			"ChannelsTable":                          "GetItem",
			"DispatchQueue":                          "GetQueueAttributes SendMessage",
			"MessagesTable":                          "BatchGetItem UpdateItem",
			"MessagesTable/index/held":               "Query",
			"MessagesTable/index/scheduled":          "Query",
			"QuotaResetLogGroup":                     "CreateLogStream PutLogEvents",
			"ReleaseQueue":                           "DeleteMessage GetQueueAttributes ReceiveMessage SendMessage",
			"UsageTable":                             "GetItem PutItem Query UpdateItem",
			"UsageTable if LeadingKeys waiting#*":    "DeleteItem",
			"UsageTable/index/due":                   "Query",
			"ChannelsTable if LeadingKeys providers": "Query",
		},
		"RecipientsFunction": {
			"AccountsTable": "GetItem Query",
			"AccountsTable if LeadingKeys *#idempotency": "GetItem PutItem UpdateItem",
			"ComplaintsTable if LeadingKeys evr_*":       "GetItem",
			"AuditTable":                                 "PutItem Query",
			"ChannelsTable":                              "GetItem",
			"ChannelsTable/index/account":                "Query",
			"ErasureQueue":                               "SendMessage",
			"MessagesTable":                              "GetItem Query",
			"RecipientsTable":                            "BatchGetItem ConditionCheckItem DeleteItem GetItem PutItem Query",
			"RecipientsTable/index/account":              "Query",
		},
		"TemplatesFunction": {
			"ChannelsTable if LeadingKeys chn_* provider#* templates#*": "GetItem",
			"ChannelsTable if LeadingKeys templates#*":                  "UpdateItem",
		},
		"WebhookFunction": {
			"EventQueue":    "SendMessage",
			"AccountsTable": "GetItem",
			"ChannelsTable": "GetItem",
			"ChannelsTable if LeadingKeys templates#*": "UpdateItem",
			"MessagesTable":   "BatchGetItem GetItem PutItem Query UpdateItem",
			"RecipientsTable": "DeleteItem PutItem",
		},
	}
	for name, f := range functions(t) {
		got := f.granted()
		for _, what := range slices.Sorted(maps.Keys(got)) {
			if want[name][what] != got[what] {
				t.Errorf("%s: %q: %q, the list has %q", name, what, got[what], want[name][what])
			}
		}
		for what := range want[name] {
			if _, ok := got[what]; !ok {
				t.Errorf("%s has no %q any more", name, what)
			}
		}
	}
}
