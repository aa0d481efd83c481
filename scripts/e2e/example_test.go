//go:build e2e

package e2e

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// described is an operation of the OpenAPI document that takes a body.
type described struct {
	method, path, authorizer string
	example                  json.RawMessage
	// success are the statuses below 300.
	success []int
}

// describe reads the operations with a body from the document that the stack serves.
func describe(t *testing.T, s *stack) map[string]described {
	t.Helper()
	var document struct {
		Paths      map[string]map[string]json.RawMessage `json:"paths"`
		Components struct {
			Schemas map[string]struct {
				Example json.RawMessage `json:"example"`
			} `json:"schemas"`
		} `json:"components"`
	}
	got := (&caller{stack: s}).call(t, http.MethodGet, "/v1/openapi.json", nil)
	if err := json.Unmarshal(got.body, &document); err != nil {
		t.Fatal(err)
	}
	out := map[string]described{}
	for path, item := range document.Paths {
		for method, raw := range item {
			var op struct {
				ID          string                `json:"operationId"`
				Security    []map[string][]string `json:"security"`
				RequestBody struct {
					Content map[string]struct {
						Schema struct {
							Ref string `json:"$ref"`
						} `json:"schema"`
					} `json:"content"`
				} `json:"requestBody"`
				Responses map[string]json.RawMessage `json:"responses"`
			}
			if method == "parameters" || json.Unmarshal(raw, &op) != nil {
				continue
			}
			body, ok := op.RequestBody.Content["application/json"]
			if !ok {
				continue
			}
			d := described{method: strings.ToUpper(method), path: path}
			for _, security := range op.Security {
				for name := range security {
					d.authorizer = name
				}
			}
			_, schema, _ := strings.Cut(body.Schema.Ref, "schemas/")
			d.example = document.Components.Schemas[schema].Example
			for status := range op.Responses {
				if n, err := strconv.Atoi(status); err == nil && n < 300 {
					d.success = append(d.success, n)
				}
			}
			out[op.ID] = d
		}
	}
	return out
}

// examples sends the document's examples, one after the other, in one account.
type examples struct {
	t              *testing.T
	s              *stack
	operations     map[string]described
	sent           map[string]bool
	user, operator *caller
	// real has what stands in the examples, and what it is here, by turns: ids that are made in another form each time,
	// and times that pass.
	real []string
}

// send sends an operation's example, after replacing what is not the same everywhere. path is where its own path has
// parameters.
func (e *examples) send(operation, path string) *answer {
	e.t.Helper()
	d, ok := e.operations[operation]
	if !ok {
		e.t.Fatalf("the document has no operation %s with a body", operation)
	}
	if d.example == nil {
		e.t.Fatalf("%s has no example", operation)
	}
	e.sent[operation] = true
	if path == "" {
		path = d.path
	}
	by := map[string]*caller{"CrmJwt": e.user, "OperatorJwt": e.operator, "": {stack: e.s}}[d.authorizer]
	got := by.call(e.t, d.method, path, []byte(strings.NewReplacer(e.real...).Replace(string(d.example))))
	for _, status := range d.success {
		if got.status == status {
			return got
		}
	}
	e.t.Fatalf("the example of %s is not true: %v", operation, got)
	return nil
}

// id is the member id of an answer.
func (e *examples) id(a *answer) string {
	e.t.Helper()
	var v struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(a.body, &v); err != nil || v.ID == "" {
		e.t.Fatalf("%v has no id: %v", a, err)
	}
	return v.ID
}

// Every example of a request in the OpenAPI document is one that works.
func TestTheExamplesOfTheDocumentAreTrue(t *testing.T) {
	t.Parallel()
	s := ownStack(t, nil)
	now := time.Now()
	at := func(d time.Duration) string { return now.Add(d).UTC().Format(timestampForm) }
	e := &examples{
		t: t, s: s, operations: describe(t, s), sent: map[string]bool{}, user: s.user(t, "acct_demo", "user_1", allScopes), operator: s.operator(t),
		real: []string{
			"2026-12-01T10:00:00.000Z", at(7 * 24 * time.Hour), "2027-12-01T00:00:00.000Z", at(365 * 24 * time.Hour),
			"2026-11-23T00:00:00.000Z", at(-time.Hour), "2026-11-24T00:00:00.000Z", at(0), "https://crm.example.com/contact-center/events", "http://127.0.0.1:9/events",
		},
	}
	e.channel()
	e.recipient()
	e.messages()
	e.complaints()
	e.registry()
	e.endpoints()
	e.send("CloseAccount", "")
	for operation := range e.operations {
		if !e.sent[operation] {
			t.Errorf("the example of %s is not sent", operation)
		}
	}
}

func (e *examples) channel() {
	e.t.Helper()
	e.send("AcceptRules", "")
	id := e.id(e.send("CreateChannel", ""))
	path := "/v1/channels/" + id
	e.send("UpdateChannel", path)
	given := e.send("InstructActivation", path+"/activation-instructions")
	var token struct {
		Instruction string `json:"instruction"`
	}
	if err := json.Unmarshal(given.body, &token); err != nil {
		e.t.Fatal(err)
	}
	e.real = append(e.real, "ins_06h0tp2n8zp3r6ed.secret", token.Instruction, "chn_06h0tp2n8zp3r6ed", id)
	e.send("FollowInstruction", "")
	e.send("ActivateChannel", path+"/activate")
}

func (e *examples) recipient() {
	e.t.Helper()
	id := e.id(e.send("CreateRecipient", ""))
	path := "/v1/recipients/" + id
	if found := e.id(e.send("LookupRecipient", "")); found != id {
		e.t.Errorf("found %s, not %s", found, id)
	}
	e.send("UpdateRecipient", path)
	e.send("PutConsents", path+"/consents")
	e.send("ExportRecipient", path+"/export")
	e.send("CollectEvidence", path+"/evidence")
}

func (e *examples) messages() {
	e.t.Helper()
	sent := decode[message](e.t, e.send("SendMessage", ""), http.StatusAccepted)
	e.real = append(e.real, "msg_06h0tp2n8zp3r6ed9g5qvz7mfbjev266", sent.ID)
	e.send("MarkConversationRead", "/v1/conversations/"+sent.ConversationID+"/read")
	e.send("AssignConversation", "/v1/conversations/"+sent.ConversationID+"/assignee")
	var batch struct {
		Results []struct {
			Message *message `json:"message"`
		} `json:"results"`
	}
	got := e.send("SendBatch", "")
	if err := json.Unmarshal(got.body, &batch); err != nil {
		e.t.Fatal(err)
	}
	for _, r := range batch.Results {
		if r.Message == nil {
			e.t.Fatalf("the example of a batch is not true: %v", got)
		}
	}
	scheduled := batch.Results[len(batch.Results)-1].Message
	if scheduled.Status != "scheduled" {
		e.t.Errorf("%v", scheduled)
	}
	e.send("RescheduleMessage", "/v1/messages/"+scheduled.ID)
	e.send("UpdateAccount", "")
}

func (e *examples) complaints() {
	e.t.Helper()
	restriction := e.id(e.send("CreateRestriction", "/v1/operator/accounts/acct_demo/restrictions"))
	appeal := e.id(e.send("AppealRestriction", "/v1/account/restrictions/"+restriction+"/appeals"))
	e.send("DecideAppeal", "/v1/operator/appeals/"+appeal)
	complaint := e.id(e.send("FileComplaint", ""))
	e.send("ReviewComplaint", "/v1/operator/complaints/"+complaint)
	asked := e.id(e.send("CreateEvidenceRequest", ""))
	e.send("SubmitEvidence", "/v1/evidence-requests/"+asked+"/submissions")
	e.send("DecideEvidenceRequest", "/v1/operator/evidence-requests/"+asked)
}

func (e *examples) registry() {
	e.t.Helper()
	e.send("PutProvider", "/v1/operator/providers/example_messenger")
	e.send("PutSender", "/v1/operator/providers/edna/senders/1011")
	e.send("PutPlan", "/v1/operator/plans/demo")
	e.send("PutOperatorAccount", "/v1/operator/accounts/acct_demo")
	e.send("PublishRules", "")
}

func (e *examples) endpoints() {
	e.t.Helper()
	id := e.id(e.send("CreateWebhookEndpoint", ""))
	e.send("UpdateWebhookEndpoint", "/v1/webhook-endpoints/"+id)
	e.send("ReplayWebhookEvents", "/v1/webhook-endpoints/"+id+"/replay")
}
