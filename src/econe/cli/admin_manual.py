"""What `econe-admin -h` prints."""

from typing import Final

NAME: Final = "econe-admin"

MANUAL: Final = """\
NAME
     econe-admin - accounts, limits, access keys and images of an econe cloud, and
                   what waits

SYNOPSIS
     econe-admin [OPTION]... account create NAME [--password PW | --password-file FILE]
     econe-admin [OPTION]... account list
     econe-admin [OPTION]... account disable|enable NAME
     econe-admin [OPTION]... account password NAME --password-file FILE
     econe-admin [OPTION]... account limits NAME [--instances N] [--vcpus N]
                             [--memory-gib N | --memory-mib N] [--images N]
                             [--storage-gib N]
     econe-admin [OPTION]... image add SOURCE [--public] [--name NAME]
                             [--description TEXT] [--arch NAME] [--boot-mode MODE]
                             [--account NAME] [--tag KEY=VALUE]...
                             [--sha256 HEX | --sha512 HEX | --checksum ALGORITHM:HEX
                             | --checksum-url URL | --unverified]
     econe-admin [OPTION]... image list [--account NAME]
     econe-admin [OPTION]... image remove IMAGE
     econe-admin [OPTION]... key create|list NAME
     econe-admin [OPTION]... key disable|enable|delete ACCESS-KEY
     econe-admin [OPTION]... import-opennebula --config FILE
     econe-admin [OPTION]... metrics INSTANCE
     econe-admin [OPTION]... status

DESCRIPTION
     Works on the state directory itself: before the server first starts, and
     beside it while it runs. What it changes holds from the next request on.

     Everything in the cloud belongs to an account. An account has a name, a
     12-digit number (the owner id of the EC2 API), any number of access key
     pairs, and from its first moment a default VPC with a subnet and a
     security group.

     With the engine opennebula accounts are OpenNebula's users: the server
     takes them from there, and the commands that make and change accounts
     are refused. Keys can be made beside a user's password.

COMMANDS
     account create NAME  Make an account and an access key pair, and print
                          both. The secret key is shown this once. A name is
                          1 to 63 of the letters A-Z and a-z, digits, and
                          - _ . @
     account list         Print all accounts.
     account disable NAME Refuse all requests of the account. Its machines go
                          on running.
     account enable NAME  Undo that.
     account password NAME
                          Give the account a password, or another one.
     account limits NAME  Print what the account may have, what it has, and who
                          said so. With options first set those limits: N is a
                          number, `unlimited`, or `default` for what is usual
                          in this cloud ([cloud] max_... of the settings).
                          vCPUs and memory count while an instance is not
                          stopped; GiB are those of disks and images together.
                          A limit takes nothing away that is there.
     image add SOURCE     Make a registered image of a file or of what is at an
                          http or https URL. See IMAGES.
     image list           Print all images, or one account's, that are not
                          deregistered.
     image remove IMAGE   Deregister an image, whosever it is. Instances of it
                          keep their disks. One that is protected from that is
                          not touched.
     key create NAME      Make one more access key pair for the account, and
                          print it. The secret key is shown this once.
     key list NAME        Print the account's access keys, without secrets, and
                          when each was last used (to five minutes; a server
                          that is killed forgets the last one).
                          The KIND `password` is the pair that ONE_AUTH's
                          NAME:PASSWORD stands for.
     key disable ACCESS-KEY
                          Refuse requests that are signed with it.
     key enable ACCESS-KEY
                          Undo that.
     key delete ACCESS-KEY
                          Forget it.
     import-opennebula    Take over what econe 4.x-5.x left in OpenNebula:
                          images, instances, key pairs, tags. Says what
                          became of each, and changes nothing a second time.
                          Before the server first starts, or beside it.
     metrics INSTANCE     Say what the instance used, by samples that the server
                          takes every minute where it is monitored in detail
                          (MonitorInstances), else every five. With --json the
                          counters themselves, for as long as they are kept.
     status               Say whether the server runs, how many instances are
                          in which state, and what waits and why.

IMAGES
     SOURCE is a disk as econe-upload takes it: raw, qcow2, vmdk, vdi, vhd or vhdx,
     also within gz, xz, bz2 or zst. It is examined as every upload is, in a
     process of its own, and kept once however often it is given. The image is
     called as its file is, without what says how it is packed, or --name.

     It belongs to the account `catalogue`, which is made for it, whose images no
     usual limit counts, and for which nobody has a key unless you make one; or to
     --account. With --public every account may run it. --description, --arch
     (x86_64, i386), --boot-mode (legacy-bios, uefi, uefi-preferred) and --tag are
     as in RegisterImage; what is in the disk is not compared with them.

     A download must be vouched for. --sha256, --sha512 and --checksum give the
     sum itself; --checksum-url says where it is, in a file such as SHA512SUMS,
     SHA256SUMS or Fedora's CHECKSUM. Without any of these such a file is looked
     for beside an https URL; where there is none, that the server is who it says
     is what there is to go by, and the report says so. By http nothing is
     fetched without a checksum, unless --unverified. What was asked for by https
     is never fetched by http. http_proxy, https_proxy and no_proxy are heeded.
     A download that fails, is interrupted, or is not what was vouched for leaves
     nothing.

     Adding the same content under the same name again changes nothing but what
     --public, --boot-mode and --tag ask for, and is told; other content under the name of an
     image that is there is refused.

     With the engine opennebula the image is its user's (--account must be given),
     and the server hands it over to OpenNebula as it does uploads; who else may
     use it is set there.

OPTIONS
     --state DIR          The state directory. Default: $ECONE_STATE, else
                          /var/lib/econe for root, else ~/.local/share/econe
     --config FILE        The server's settings: the zone, and the addresses
                          of default VPCs, come from there.
     --password PW        Also make the pair that ONE_AUTH's NAME:PASSWORD
                          stands for: access key NAME, secret key the hash of
                          the password. Other users of this machine can see
                          the password while the command runs.
     --password-file FILE The same, with the password read from the file; -
                          is standard input.
     --json               Print JSON.
     -V, --version        Print the version and exit.
     -h, --help           Print this text and exit.

FILES
     DIR/econe.db         Accounts, keys, images, instances: all rows.
     DIR/metrics.db       What instances used. May be deleted.
     DIR/secret.key       Opens the secrets in econe.db. Keep a copy apart
                          from econe.db's: without it all keys are lost.

EXIT STATUS
     0                    Done.
     1                    It could not be done: one line on standard error
                          says why.
     2                    The command line cannot be meant.
     130                  Interrupted.

EXAMPLES
     $ econe-admin --state /srv/econe account create helen
     name        helen
     number      740281935566
     access_key  AKIA2Q7XJ5M4HT3KZBWC
     secret_key  r0mKX3wVwP1sJx8YbUe6dNq2GtZc7LhA4vTfE9uB

     $ econe-admin account create ci --password-file - --json < ci.password

     $ econe-admin image add https://images.example/debian-12-generic-amd64.qcow2 --public
     image    ami-00000001, added
     name     debian-12-generic-amd64
     account  catalogue 689418229575
     state    available, public
     size     2.00 GiB
     checked  sha512, by https://images.example/SHA512SUMS

     $ econe-admin account limits helen --vcpus 8 --storage-gib 100
     LIMIT        MOST       HELD  SET BY
     instances    1000       3     default
     vcpus        8          4     operator
     memory-mib   unlimited  8192  default
     images       unlimited  1     default
     storage-gib  100        26    operator

     $ econe-admin status
     server     process 4711, http://127.0.0.1:4567
     instances  3 running, 1 pending

     INSTANCE    ACCOUNT  STATE    WANTED  TRIES  NEXT TRY              WHY
     i-00000004  helen    pending  run     3      2026-11-23T16:00:04Z  no space left on the disk
"""
