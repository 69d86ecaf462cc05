package signature

// FilesOf reads a statement whose signature is not looked at.
var FilesOf = filesOf
