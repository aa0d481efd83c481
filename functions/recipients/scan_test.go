package main

import (
	"encoding/json"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// unmarshal reads an item as plain values; bytes as text, so that what is in clear in them is found.
func unmarshal(it map[string]types.AttributeValue, out *map[string]any) error {
	*out = map[string]any{}
	for name, v := range it {
		x, err := value(v)
		if err != nil {
			return err
		}
		(*out)[name] = x
	}
	return nil
}

func value(v types.AttributeValue) (any, error) {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return v.Value, nil
	case *types.AttributeValueMemberN:
		return json.Number(v.Value), nil
	case *types.AttributeValueMemberB:
		return string(v.Value), nil
	case *types.AttributeValueMemberBOOL:
		return v.Value, nil
	case *types.AttributeValueMemberL:
		var list []any
		for _, e := range v.Value {
			x, err := value(e)
			if err != nil {
				return nil, err
			}
			list = append(list, x)
		}
		return list, nil
	case *types.AttributeValueMemberM:
		m := map[string]any{}
		return m, unmarshal(v.Value, &m)
	}
	return nil, fmt.Errorf("an attribute of type %T", v)
}
