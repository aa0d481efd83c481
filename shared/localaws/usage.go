package localaws

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"contactcenter/shared/awsclient"
	"contactcenter/shared/localaws/localdynamo"
)

const maxBody = 32 << 20

// meter counts every call that goes through it, so that the cost of a message can be read over all the processes that touch it.
// It works in front of any engine that reports ConsumedCapacity: it asks for it, and for the item of a refused write, and
// takes both out of the answer where the caller did not ask. A refused write costs the larger of the stored item and, for a put, the
// new one; of a cancelled transaction it counts two units for each item.
type meter struct {
	tables, queues http.Handler
	tally          awsclient.Tally
}

// ServeHTTP answers the usage at GET /_local/usage, forgets it at POST /_local/usage/reset, and passes calls on.
func (m *meter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	service, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	switch {
	case r.URL.Path == "/_local/usage" && r.Method == http.MethodGet:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(m.tally.Report()) // the client is gone
	case r.URL.Path == "/_local/usage/reset" && r.Method == http.MethodPost:
		m.tally.Reset()
		w.WriteHeader(http.StatusNoContent)
	case service == "AmazonSQS":
		m.queueCall(w, r, operation)
	case service == "DynamoDB_20120810":
		m.tableCall(w, r, operation)
	default:
		http.Error(w, "this endpoint answers the JSON protocols of DynamoDB and SQS, by X-Amz-Target", http.StatusNotFound)
	}
}

type fields map[string]json.RawMessage

func (f fields) text(name string) string {
	var s string
	_ = json.Unmarshal(f[name], &s) // anything else is for the engine to refuse
	return s
}

// body reads the request's body and what it says, if it is an object.
func body(w http.ResponseWriter, r *http.Request) ([]byte, fields, error) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, nil, err
	}
	var f fields
	if json.Unmarshal(raw, &f) != nil {
		f = nil // the engine says what is wrong with it
	}
	return raw, f, nil
}

func replaceBody(r *http.Request, raw []byte) {
	r.Body = io.NopCloser(bytes.NewReader(raw))
	r.ContentLength = int64(len(raw))
	r.Header.Set("Content-Length", strconv.Itoa(len(raw)))
}

func (m *meter) queueCall(w http.ResponseWriter, r *http.Request, operation string) {
	raw, f, err := body(w, r)
	if err != nil {
		http.Error(w, "the request can't be read", http.StatusBadRequest)
		return
	}
	queue := awsclient.QueueName(f.text("QueueUrl"))
	m.tally.Add(awsclient.Call{Service: "SQS", Operation: operation, Resource: queue}, awsclient.Usage{Requests: 1})
	replaceBody(r, raw)
	m.queues.ServeHTTP(w, r)
}

func (m *meter) tableCall(w http.ResponseWriter, r *http.Request, operation string) {
	raw, request, err := body(w, r)
	if err != nil {
		http.Error(w, "the request can't be read", http.StatusBadRequest)
		return
	}
	capacityAsked, itemAsked := asks(request, "ReturnConsumedCapacity"), asks(request, "ReturnValuesOnConditionCheckFailure")
	if request != nil && consumes(operation) {
		if raw, err = json.Marshal(asking(request, operation)); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	replaceBody(r, raw)
	answer := &recorder{header: http.Header{}, status: http.StatusOK}
	m.tables.ServeHTTP(answer, r)

	var response fields
	if json.Unmarshal(answer.body.Bytes(), &response) != nil {
		response = nil
	}
	m.count(operation, request, response)
	hidden := hide(response, "ConsumedCapacity", capacityAsked)
	if answer.status != http.StatusOK && strings.HasSuffix(response.text("__type"), "ConditionalCheckFailedException") {
		hidden = hide(response, "Item", itemAsked) || hidden
	}
	answer.write(w, response, hidden)
}

func consumes(operation string) bool { return awsclient.Reads(operation) || writes(operation) }

func writes(operation string) bool {
	switch operation {
	case "PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems":
		return true
	}
	return false
}

func asks(f fields, name string) bool {
	s := f.text(name)
	return s != "" && s != "NONE"
}

// asking is the request with what the meter needs to know.
func asking(request fields, operation string) fields {
	out := maps.Clone(request)
	if !asks(request, "ReturnConsumedCapacity") {
		out["ReturnConsumedCapacity"] = json.RawMessage(`"INDEXES"`)
	}
	switch operation {
	case "PutItem", "UpdateItem", "DeleteItem":
		out["ReturnValuesOnConditionCheckFailure"] = json.RawMessage(`"ALL_OLD"`)
	}
	return out
}

// hide takes a member out of the answer, unless it was asked for, and says whether it did.
func hide(response fields, name string, asked bool) bool {
	if _, there := response[name]; !there || asked {
		return false
	}
	delete(response, name)
	return true
}

type consumedCapacity struct {
	TableName     string
	CapacityUnits float64
}

func (m *meter) count(operation string, request, response fields) {
	call := awsclient.Call{Service: "DynamoDB", Operation: operation, Resource: tableOf(request)}
	m.tally.Add(call, awsclient.Usage{Requests: 1})
	for _, c := range consumed(operation, request, response) {
		if c.TableName != "" {
			call.Resource = c.TableName
		}
		usage := awsclient.Usage{WriteUnits: c.CapacityUnits}
		if awsclient.Reads(operation) {
			usage = awsclient.Usage{ReadUnits: c.CapacityUnits}
		}
		m.tally.Add(call, usage)
	}
}

// tableOf is the table that a request names; of a batch or a transaction the first by name.
func tableOf(request fields) string {
	if name := request.text("TableName"); name != "" {
		return name
	}
	var tables map[string]json.RawMessage
	if json.Unmarshal(request["RequestItems"], &tables) == nil && len(tables) > 0 {
		return slices.Min(slices.Collect(maps.Keys(tables)))
	}
	var parts []map[string]struct{ TableName string }
	if json.Unmarshal(request["TransactItems"], &parts) != nil {
		return ""
	}
	first := ""
	for _, part := range parts {
		for _, p := range part {
			if first == "" || p.TableName < first {
				first = p.TableName
			}
		}
	}
	return first
}

// consumed is what the engine says that a call consumed, or what a refused write is documented to.
func consumed(operation string, request, response fields) []consumedCapacity {
	switch kind := response.text("__type"); {
	case strings.HasSuffix(kind, "ConditionalCheckFailedException"):
		size := max(itemBytes(response["Item"]), itemBytes(request["Item"]))
		return []consumedCapacity{{CapacityUnits: awsclient.WriteUnits(size)}}
	case strings.HasSuffix(kind, "TransactionCanceledException") && writes(operation):
		var reasons []json.RawMessage
		_ = json.Unmarshal(response["CancellationReasons"], &reasons)
		return []consumedCapacity{{CapacityUnits: 2 * float64(len(reasons))}}
	}
	var one consumedCapacity
	if json.Unmarshal(response["ConsumedCapacity"], &one) == nil {
		return []consumedCapacity{one}
	}
	var many []consumedCapacity
	_ = json.Unmarshal(response["ConsumedCapacity"], &many) // an engine that reports nothing
	return many
}

func itemBytes(wire json.RawMessage) int {
	if wire == nil {
		return 0
	}
	n, err := localdynamo.ItemBytes(wire)
	if err != nil {
		return 0 // the engine has refused it
	}
	return n
}

// recorder keeps an answer until it has been read.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *recorder) Header() http.Header         { return a.header }
func (a *recorder) WriteHeader(status int)      { a.status = status }
func (a *recorder) Write(b []byte) (int, error) { return a.body.Write(b) }

// write passes the answer on; changed says that response is to take the body's place.
func (a *recorder) write(w http.ResponseWriter, response fields, changed bool) {
	out := a.body.Bytes()
	if changed {
		rewritten, err := json.Marshal(response)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		out = rewritten
		a.header.Del("X-Amz-Crc32") // of the former body
	}
	maps.Copy(w.Header(), a.header)
	w.Header().Set("Content-Length", strconv.Itoa(len(out)))
	w.WriteHeader(a.status)
	_, _ = w.Write(out) // an error means that the client is gone
}
