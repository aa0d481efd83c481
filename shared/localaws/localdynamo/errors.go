package localdynamo

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// apiError is an error as DynamoDB answers it.
type apiError struct {
	shape   string
	message string
	item    item     // of a failed condition, where the request asked for it
	reasons []reason // of a cancelled transaction
}

type reason struct {
	Code    string
	Message string `json:",omitempty"`
	Item    item   `json:",omitempty"`
}

func (e *apiError) Error() string { return e.shape + ": " + e.message }

func invalid(format string, args ...any) error {
	return &apiError{shape: "ValidationException", message: fmt.Sprintf(format, args...)}
}

func noTable(name string) error {
	return &apiError{shape: "ResourceNotFoundException", message: "Requested resource not found: Table: " + name + " not found"}
}

func refused(old item) *apiError {
	return &apiError{shape: "ConditionalCheckFailedException", message: "The conditional request failed", item: old}
}

func writeError(w http.ResponseWriter, err error) {
	var e *apiError
	if !errors.As(err, &e) {
		e = &apiError{shape: "SerializationException", message: err.Error()}
	}
	namespace := "com.amazonaws.dynamodb.v20120810#"
	if e.shape == "ValidationException" || e.shape == "SerializationException" {
		namespace = "com.amazon.coral.validate#"
	}
	body, err := json.Marshal(struct {
		Type    string   `json:"__type"`
		Message string   `json:"message"`
		Item    item     `json:",omitempty"`
		Reasons []reason `json:"CancellationReasons,omitempty"`
	}{namespace + e.shape, e.message, e.item, e.reasons})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(http.StatusBadRequest)
	_, _ = w.Write(body) // an error means that the client is gone
}
