package localsqs

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// apiError is an error as SQS answers it: the shape's name in __type, and the code of the older query protocol, which the
// SDKs report, in the header x-amzn-query-error.
type apiError struct {
	shape   string
	code    string
	message string
}

func (e *apiError) Error() string { return e.code + ": " + e.message }

func invalid(format string, args ...any) *apiError {
	return &apiError{"InvalidParameterValueException", "InvalidParameterValue", fmt.Sprintf(format, args...)}
}

func missing(parameter string) *apiError {
	return &apiError{"MissingRequiredParameterException", "MissingParameter", "The request must contain the parameter " + parameter + "."}
}

func modelled(shape, format string, args ...any) *apiError {
	return &apiError{shape, "AWS.SimpleQueueService." + shape, fmt.Sprintf(format, args...)}
}

func noQueue() *apiError {
	return &apiError{"QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist."}
}

func badReceipt() *apiError {
	return &apiError{"ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid", "The input receipt handle is invalid."}
}

func writeError(w http.ResponseWriter, err error) {
	var e *apiError
	if !errors.As(err, &e) {
		e = &apiError{"SerializationException", "SerializationException", err.Error()}
	}
	w.Header().Set("x-amzn-query-error", e.code+";Sender")
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": "com.amazonaws.sqs#" + e.shape, "message": e.message}) // the client is gone
}
