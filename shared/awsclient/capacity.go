package awsclient

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// ItemBytes is the size of an item in bytes as DynamoDB counts it for its limit of 400 KB and for capacity: the developer guide,
// "DynamoDB item sizes and formats". Names and strings count their UTF-8 bytes; a number one byte for every two significant
// digits and one more (and one for a minus sign, which AWS calls approximate); binaries their raw bytes; null and boolean one
// byte; a list or map three bytes, and one more for each of its elements. The 100 bytes that AWS adds for the bill of the
// storage are not in it.
func ItemBytes(item map[string]types.AttributeValue) int {
	n := 0
	for name, v := range item {
		n += len(name) + valueBytes(v)
	}
	return n
}

func valueBytes(v types.AttributeValue) int {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return len(v.Value)
	case *types.AttributeValueMemberN:
		return numberBytes(v.Value)
	case *types.AttributeValueMemberB:
		return len(v.Value)
	case *types.AttributeValueMemberBOOL, *types.AttributeValueMemberNULL:
		return 1
	case *types.AttributeValueMemberM:
		return 3 + len(v.Value) + ItemBytes(v.Value)
	case *types.AttributeValueMemberL:
		n := 3 + len(v.Value)
		for _, e := range v.Value {
			n += valueBytes(e)
		}
		return n
	case *types.AttributeValueMemberSS:
		n := 0
		for _, e := range v.Value {
			n += len(e)
		}
		return n
	case *types.AttributeValueMemberNS:
		n := 0
		for _, e := range v.Value {
			n += numberBytes(e)
		}
		return n
	case *types.AttributeValueMemberBS:
		n := 0
		for _, e := range v.Value {
			n += len(e)
		}
		return n
	}
	return 0
}

func numberBytes(s string) int {
	mantissa, _, _ := strings.Cut(strings.ToLower(s), "e")
	mantissa, negative := strings.CutPrefix(mantissa, "-")
	whole, fraction, _ := strings.Cut(strings.TrimPrefix(mantissa, "+"), ".")
	digits := strings.Trim(whole+fraction, "0")
	n := (len(digits)+1)/2 + 1
	if negative {
		n++
	}
	return n
}

// WriteUnits is what a standard write of an item of that many bytes costs: one for every KB begun, and at least one. A write
// costs the larger of the item before and after; a transactional one twice that.
func WriteUnits(bytes int) float64 { return units(bytes, 1024) }

// ReadUnits is what reading that many bytes costs: one for every 4 KB begun, and at least one; half of it when the read is
// eventually consistent. A query or scan adds its items up first; GetItem and each item of a BatchGetItem are rounded alone.
func ReadUnits(bytes int, consistent bool) float64 {
	if consistent {
		return units(bytes, 4096)
	}
	return units(bytes, 4096) / 2
}

func units(bytes, per int) float64 {
	if bytes <= per {
		return 1
	}
	return float64((bytes + per - 1) / per)
}
