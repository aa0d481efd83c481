package localdynamo

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	contentType = "application/x-amz-json-1.0"
	maxRequest  = 32 << 20 // a batch of 25 items of 400 KB, escaped
	tokenLife   = 10 * time.Minute
)

// Server is an http.Handler that answers as Amazon DynamoDB does.
type Server struct {
	mu     sync.RWMutex
	tables map[string]*table
	tokens map[string]token
}

// token is a transaction's ClientRequestToken that was used.
type token struct {
	request [sha256.Size]byte
	at      time.Time
}

// New returns a server without tables.
func New() *Server { return &Server{tables: map[string]*table{}, tokens: map[string]token{}} }

type operation func(s *Server, body []byte) (any, error)

func typed[In any](f func(s *Server, in In) (any, error)) operation {
	return func(s *Server, body []byte) (any, error) {
		var in In
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, fmt.Errorf("the request is not what the operation takes: %w", err)
		}
		return f(s, in)
	}
}

var operations = map[string]operation{
	"CreateTable":        typed((*Server).createTable),
	"DescribeTable":      typed((*Server).describeTable),
	"DeleteTable":        typed((*Server).deleteTable),
	"ListTables":         typed((*Server).listTables),
	"UpdateTimeToLive":   typed((*Server).updateTimeToLive),
	"DescribeTimeToLive": typed((*Server).describeTimeToLive),
	"PutItem":            typed((*Server).putItem),
	"UpdateItem":         typed((*Server).updateItem),
	"DeleteItem":         typed((*Server).deleteItem),
	"GetItem":            typed((*Server).getItem),
	"Query":              typed((*Server).query),
	"Scan":               typed((*Server).scan),
	"BatchGetItem":       typed((*Server).batchGetItem),
	"BatchWriteItem":     typed((*Server).batchWriteItem),
	"TransactWriteItems": typed((*Server).transactWriteItems),
	"TransactGetItems":   typed((*Server).transactGetItems),
}

// ServeHTTP answers one call of the JSON protocol.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, name, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	op, ok := operations[name]
	if !ok {
		writeError(w, &apiError{shape: "UnknownOperationException", message: "localdynamo does not know the operation " + strconv.Quote(name) + "."})
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		writeError(w, invalid("The request is longer than %d bytes", maxRequest))
		return
	}
	out, err := op(s, body)
	if err != nil {
		writeError(w, err)
		return
	}
	answer, err := json.Marshal(out)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	_, _ = w.Write(answer) // an error means that the client is gone
}

// table needs the lock, for reading at least.
func (s *Server) table(name string) (*table, error) {
	name = name[strings.LastIndexByte(name, '/')+1:] // an ARN will do
	t := s.tables[name]
	if t == nil {
		return nil, noTable(name)
	}
	return t, nil
}

func (s *Server) createTable(in createTableInput) (any, error) {
	t, err := newTable(in, time.Now())
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tables[t.name] != nil {
		return nil, &apiError{shape: "ResourceInUseException", message: "Table already exists: " + t.name}
	}
	s.tables[t.name] = t
	return map[string]any{"TableDescription": t.describe()}, nil
}

type tableInput struct{ TableName string }

func (s *Server) describeTable(in tableInput) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	t, err := s.table(in.TableName)
	if err != nil {
		return nil, err
	}
	return map[string]any{"Table": t.describe()}, nil
}

func (s *Server) deleteTable(in tableInput) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.table(in.TableName)
	if err != nil {
		return nil, err
	}
	delete(s.tables, t.name)
	return map[string]any{"TableDescription": t.describe()}, nil
}

func (s *Server) listTables(in struct {
	ExclusiveStartTableName string
	Limit                   int
}) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	limit := in.Limit
	if limit == 0 {
		limit = 100
	}
	all := slices.Sorted(maps.Keys(s.tables))
	all = slices.DeleteFunc(all, func(name string) bool { return name <= in.ExclusiveStartTableName })
	out := map[string]any{"TableNames": all}
	if len(all) > limit {
		out["TableNames"], out["LastEvaluatedTableName"] = all[:limit], all[limit-1]
	}
	return out, nil
}

type ttlSpecification struct {
	AttributeName string
	Enabled       bool
}

func (s *Server) updateTimeToLive(in struct {
	TableName               string
	TimeToLiveSpecification ttlSpecification
}) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.table(in.TableName)
	if err != nil {
		return nil, err
	}
	t.ttl = ""
	if in.TimeToLiveSpecification.Enabled {
		t.ttl = in.TimeToLiveSpecification.AttributeName
	}
	return map[string]any{"TimeToLiveSpecification": in.TimeToLiveSpecification}, nil
}

func (s *Server) describeTimeToLive(in tableInput) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	t, err := s.table(in.TableName)
	if err != nil {
		return nil, err
	}
	out := map[string]string{"TimeToLiveStatus": "DISABLED"}
	if t.ttl != "" {
		out = map[string]string{"TimeToLiveStatus": "ENABLED", "AttributeName": t.ttl}
	}
	return map[string]any{"TimeToLiveDescription": out}, nil
}
