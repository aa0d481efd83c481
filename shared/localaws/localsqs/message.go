package localsqs

import (
	"container/list"
	"crypto/md5" //nolint:gosec // SQS digests with MD5.
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// attributeValue is a message attribute as it travels: StringValue for the types String and Number, BinaryValue for Binary.
type attributeValue struct {
	DataType    string
	StringValue *string `json:",omitempty"`
	BinaryValue []byte  `json:",omitempty"`
}

type state int

const (
	ready state = iota
	delayed
	inFlight
)

type message struct {
	id              string
	body            string
	attributes      map[string]attributeValue
	traceHeader     string
	groupID         string
	deduplicationID string
	sequence        uint64

	sent          time.Time
	firstReceived time.Time
	received      time.Time // the latest receive
	heldSince     time.Time // the latest receive or change of visibility
	visibleAt     time.Time
	receives      int
	receipt       string // of the latest receive
	source        string // ARN of the queue whose dead letter this is

	state    state
	group    *group
	position int           // in the heap of its state
	age      *list.Element // in the queue's list by age
}

// messageSize is what counts against the size limit: the body and the attributes' names, types and values.
func messageSize(body string, attributes map[string]attributeValue) int {
	n := len(body)
	for name, v := range attributes {
		n += len(name) + len(v.DataType) + len(v.BinaryValue)
		if v.StringValue != nil {
			n += len(*v.StringValue)
		}
	}
	return n
}

func bodyDigest(body string) string {
	sum := md5.Sum([]byte(body)) //nolint:gosec // SQS digests with MD5.
	return hex.EncodeToString(sum[:])
}

// attributesDigest is the MD5 that the developer guide describes under "Calculating the MD5 message digest for message
// attributes", or "" when there are none.
func attributesDigest(attributes map[string]attributeValue) string {
	if len(attributes) == 0 {
		return ""
	}
	var b []byte
	text := func(s string) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		v := attributes[name]
		text(name)
		text(v.DataType)
		if strings.HasPrefix(v.DataType, "Binary") {
			b = append(b, 2)
			text(string(v.BinaryValue))
			continue
		}
		b = append(b, 1)
		text(*v.StringValue)
	}
	sum := md5.Sum(b) //nolint:gosec // SQS digests with MD5.
	return hex.EncodeToString(sum[:])
}

// validText says whether SQS takes the text: the characters that XML 1.0 allows.
func validText(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		switch {
		case r == 0x9, r == 0xA, r == 0xD, r >= 0x20 && r <= 0xD7FF, r >= 0xE000 && r <= 0xFFFD, r >= 0x10000:
		default:
			return false
		}
	}
	return true
}

func validateMessage(body string, attributes map[string]attributeValue) error {
	if body == "" {
		return missing("MessageBody")
	}
	if !validText(body) {
		return &apiError{shape: "InvalidMessageContents", code: "InvalidMessageContents", message: "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF"}
	}
	if len(attributes) > 10 {
		return invalid("Number of message attributes [%d] exceeds the allowed maximum [10].", len(attributes))
	}
	for name, v := range attributes {
		kind, _, _ := strings.Cut(v.DataType, ".")
		hasText := v.StringValue != nil && *v.StringValue != ""
		switch {
		case name == "" || len(name) > 256:
			return invalid("Message attribute name must be between 1 and 256 characters long.")
		case kind != "String" && kind != "Number" && kind != "Binary":
			return invalid("The message attribute '%s' has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.", name)
		case kind == "Binary" && len(v.BinaryValue) == 0, kind != "Binary" && !hasText:
			return invalid("The message attribute '%s' must contain a non-empty message attribute value for message attribute type '%s'.", name, kind)
		case kind != "Binary" && !validText(*v.StringValue):
			return invalid("The message attribute '%s' contains invalid characters.", name)
		}
	}
	return nil
}
