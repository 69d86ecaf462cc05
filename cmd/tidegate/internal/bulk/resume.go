package bulk

import (
	"bufio"
	"errors"
	"io"
	"os"

	"github.com/tidegate/tidegate/shared/fault"
)

// Resume opens the output of an interrupted run to go on writing, and says how
// many rows it holds. A last line without its newline is cut off: its row is sent
// again. A file that does not exist is created.
func Resume(path, format string) (f *os.File, rows int, err error) {
	f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, 0, fault.Wrap(err, fault.InvalidArgument, "%s cannot be opened for writing; check the path", path)
	}
	lines, end, err := completeLines(f)
	if err == nil {
		err = f.Truncate(end)
	}
	if err == nil {
		_, err = f.Seek(end, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, 0, fault.Wrap(err, fault.InvalidArgument, "%s cannot be continued", path)
	}
	if format == "csv" && lines > 0 {
		lines-- // the header
	}
	return f, lines, nil
}

// completeLines counts the lines that end in a newline, and where the last one does.
func completeLines(r io.Reader) (lines int, end int64, err error) {
	in := bufio.NewReaderSize(r, 1<<16)
	var at int64
	for {
		part, err := in.ReadSlice('\n')
		at += int64(len(part))
		switch {
		case err == nil:
			lines, end = lines+1, at
		case errors.Is(err, io.EOF):
			return lines, end, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return lines, end, err
		}
	}
}
