package localdynamo

import (
	"encoding/json"
	"fmt"

	"contactcenter/shared/awsclient"
)

// ItemBytes is the size, as DynamoDB counts it, of an item in the form in which it travels.
func ItemBytes(wire []byte) (int, error) {
	var it item
	if err := json.Unmarshal(wire, &it); err != nil {
		return 0, fmt.Errorf("read item: %w", err)
	}
	return awsclient.ItemBytes(it), nil
}
