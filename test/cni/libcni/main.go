// Calls of the reference runtime library, github.com/containernetworking/cni/libcni, one a line of standard input; its answer a
// line of standard output. Arguments: the folder of the plugins, the folder of the library's cache.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"time"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"
)

type call struct {
	Command     string               `json:"command"`
	List        json.RawMessage      `json:"list"`
	ContainerID string               `json:"containerId"`
	NetNS       string               `json:"netns"`
	IfName      string               `json:"ifName"`
	Args        [][2]string          `json:"args"`
	Valid       []types.GCAttachment `json:"valid"`
}

type answer struct {
	Code    uint         `json:"code"`
	Message string       `json:"message,omitempty"`
	Result  types.Result `json:"result,omitempty"`
}

func (c call) do(ctx context.Context, cni *libcni.CNIConfig) (types.Result, error) {
	list, err := libcni.ConfListFromBytes(c.List)
	if err != nil {
		return nil, err
	}
	conf := &libcni.RuntimeConf{ContainerID: c.ContainerID, NetNS: c.NetNS, IfName: c.IfName, Args: c.Args}
	switch c.Command {
	case "ADD":
		return cni.AddNetworkList(ctx, list, conf)
	case "DEL":
		return nil, cni.DelNetworkList(ctx, list, conf)
	case "CHECK":
		return nil, cni.CheckNetworkList(ctx, list, conf)
	case "GC":
		return nil, cni.GCNetworkList(ctx, list, &libcni.GCArgs{ValidAttachments: c.Valid})
	case "STATUS":
		return nil, cni.GetStatusNetworkList(ctx, list)
	}
	return nil, errors.New("no such command: " + c.Command)
}

func main() {
	cni := libcni.NewCNIConfigWithCacheDir(os.Args[1:2], os.Args[2], nil)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var c call
		var a answer
		err := json.Unmarshal(lines.Bytes(), &c)
		if err == nil {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			a.Result, err = c.do(ctx, cni)
			cancel()
		}
		if err != nil {
			a.Code, a.Message = 1, err.Error()
			var reason *types.Error
			if errors.As(err, &reason) {
				a.Code = reason.Code
			}
		}
		if err := out.Encode(a); err != nil {
			panic(err)
		}
	}
}
