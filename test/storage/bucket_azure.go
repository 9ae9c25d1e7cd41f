//go:build azure

package storage

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/govidu/govidu/internal/secret"
	"github.com/govidu/govidu/recorder/storage"
)

var startAzure = newAzure

// The account that Azurite has, by its manual.
const (
	azureAccount = "devstoreaccount1"
	azureKey     = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

func newAzure(t testing.TB) *Bucket {
	t.Helper()
	node := "node"
	if own := tool("node/bin/node"); exists(own) {
		node = own
	}
	b := &Bucket{
		command: func(b *Bucket) *exec.Cmd {
			port := b.backend[strings.LastIndex(b.backend, ":")+1:]
			return exec.Command(node, tool("azurite-3.35.0/node_modules/azurite/dist/src/blob/main.js"), "--blobHost", "127.0.0.1", "--blobPort", port,
				"--location", filepath.Join(b.dir, "data"), "--silent", "--skipApiVersionCheck", "--disableTelemetry")
		},
		where: func(_ *Bucket, addr string) storage.Location {
			return storage.Location{
				URL:          "azblob://" + Name + "/site?protocol=http&localemu=true&domain=" + addr,
				AzureAccount: azureAccount, AzureKey: secret.New(azureKey),
			}
		},
		make: func(ctx context.Context, b *Bucket) error {
			key, err := container.NewSharedKeyCredential(azureAccount, azureKey)
			if err != nil {
				return err
			}
			c, err := container.NewClientWithSharedKeyCredential("http://"+b.backend+"/"+azureAccount+"/"+Name, key, nil)
			if err != nil {
				return err
			}
			if _, err = c.Create(ctx, nil); bloberror.HasCode(err, bloberror.ContainerAlreadyExists) {
				err = nil
			}
			return err
		},
	}
	b.open(t)
	return b
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
