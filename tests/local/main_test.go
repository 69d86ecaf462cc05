// Package local tests the template as it is deployed: on the local AWS, through API Gateway, Lambda, S3, Firehose and EventBridge. The stack is brought
// up once for all tests and taken down after them; TIDEGATE_TEST_KEEP=1 keeps it, which makes the next run start in seconds.
//
// What a package can prove by itself is proved there. Here belongs what only the whole shows.
package local

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/tidegate/tidegate/tests/local/stack"
)

var local *stack.Stack

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) (code int) {
	ctx := context.Background()
	var err error
	if local, err = stack.Up(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := local.Down(ctx); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}()
	return m.Run()
}
